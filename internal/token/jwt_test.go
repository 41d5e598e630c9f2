package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"rollcall/internal/testenv"
	"rollcall/models"
)

// payload returns the claims of a token as any reader without a key sees them.
func payload(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestSign_StandardJWT: other libraries read the registered claims.
func TestSign_StandardJWT(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123)
	keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), "", now)
	user := Claims{AppID: 1, UserID: 2, SecretGeneration: 3, TokenGeneration: 4, IssuedAt: models.TimeOf(now), ExpiresAt: models.TimeOf(now.Add(time.Minute))}
	app := user
	app.UserID, app.TokenGeneration, app.ExpiresAt = 0, 0, 0
	for _, want := range []struct {
		claims            Claims
		userID            string
		audience, subject string
		until             int64
		names             string
	}{
		{user, "ann", "appkey", "ann", 1_790_000_061, "aud exm exp iam iat iss jti num sub"},
		{app, "", "app-server:appkey", "app:appkey", 0, "aud iam iat iss jti num sub"},
	} {
		text, err := keys.Sign(want.claims, "appkey", want.userID)
		if err != nil {
			t.Fatal(err)
		}
		var got jwt.RegisteredClaims
		_, err = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("rollcall"), jwt.WithAudience(want.audience),
			jwt.WithTimeFunc(func() time.Time { return now })).
			ParseWithClaims(text, &got, func(*jwt.Token) (any, error) { return keys.signer(1).secret, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != want.subject || got.IssuedAt.Unix() != now.Unix() || got.ID == "" {
			t.Errorf("%+v", got)
		}
		if (got.ExpiresAt == nil) != (want.until == 0) || got.ExpiresAt != nil && got.ExpiresAt.Unix() != want.until {
			t.Errorf("it expires at %v, not %d", got.ExpiresAt, want.until)
		}
		if names := strings.Join(slices.Sorted(maps.Keys(payload(t, text))), " "); names != want.names {
			t.Errorf("the claims are %s, not %s", names, want.names)
		}
		if issued := payload(t, text)["iam"]; issued != json.Number("1790000000123") {
			t.Errorf("iam is %v", issued)
		}
		claims, err := keys.Verify(context.Background(), text)
		claims.key = nil
		if err != nil || claims != want.claims {
			t.Errorf("%+v is verified as %+v, %v", want.claims, claims, err)
		}
	}
}

// TestVerify_AudienceFitsBearer: a token whose audience and subject are those of the other kind of
// bearer is refused, although it has a good signature.
func TestVerify_AudienceFitsBearer(t *testing.T) {
	keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), "", time.UnixMilli(1))
	const app, user = 0, 2
	for _, of := range []struct {
		userID            int64
		audience, subject string
		good              bool
	}{
		{user, "appkey", "ann", true},
		{user, "appkey", "", false},
		{user, "app-server:appkey", "app:appkey", false},
		{user, "app-server:appkey", "ann", false},
		{app, "app-server:appkey", "app:appkey", true},
		{app, "appkey", "", true}, // the form before
		{app, "appkey", "ann", false},
		{app, "appkey", "app:appkey", false},
	} {
		text, err := keys.signer(1).signAs(Claims{AppID: 1, UserID: of.userID, IssuedAt: 1}, of.audience, of.subject)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Verify(t.Context(), text); of.good && err != nil || !of.good && !errors.Is(err, ErrInvalid) {
			t.Errorf("users.id %d, aud %q, sub %q: %v", of.userID, of.audience, of.subject, err)
		}
	}
}

// issued are tokens that were signed with issuedKey: of the old form, in which app tokens had the
// audience of a user token and no subject, and of the present one.
var issued = []struct {
	text   string
	claims Claims
}{
	{ // the old form
		"eyJhbGciOiJIUzI1NiIsImtpZCI6Inhkb2dxdXE3NTVyaWpxNHkiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJyb2xsY2FsbCIsImF1ZCI6InJjbnM2c3c2YWxudTNscW5kYnl6ZGkiLCJzdWIiOiJhbm4iLCJpYXQiOjE3OTAwMDAwMDAsImV4cCI6MTc5MDA4NjQwMSwiaWFtIjoxNzkwMDAwMDAwMTIzLCJleG0iOjE3OTAwODY0MDA0NTYsImp0aSI6IlppbjVZMExmWGJvRmx5d01vNGpCREEiLCJudW0iOiJCUmFFMHRDLUpJQUtBVU5EdzNXTXBMdWtpTWs5OGx4ZSJ9.tphZRind8FJxU_Axck6E1hhZ_RIUlPPN2AOoSHFUu6c",
		Claims{AppID: 1, UserID: 2, SecretGeneration: 3, TokenGeneration: 4, IssuedAt: 1_790_000_000_123, ExpiresAt: 1_790_086_400_456},
	},
	{
		"eyJhbGciOiJIUzI1NiIsImtpZCI6Inhkb2dxdXE3NTVyaWpxNHkiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJyb2xsY2FsbCIsImF1ZCI6InJjbnM2c3c2YWxudTNscW5kYnl6ZGkiLCJzdWIiOiJhbm4iLCJpYXQiOjE3OTAwMDAwMDAsImlhbSI6MTc5MDAwMDAwMDEyMywianRpIjoiNENFc1htTXg2UkZKMGV0Smc2Z1dMQSIsIm51bSI6IklkcTNjS2xmaVJfb043VTg4S2JrVUV6RDN2UkMxRzdnIn0.e8_P_FUJeSsPQw419CH_AemEOXAKDrVQEeETQxM0RIg",
		Claims{AppID: 1, UserID: 2, SecretGeneration: 3, TokenGeneration: 4, IssuedAt: 1_790_000_000_123},
	},
	{
		"eyJhbGciOiJIUzI1NiIsImtpZCI6Inhkb2dxdXE3NTVyaWpxNHkiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJyb2xsY2FsbCIsImF1ZCI6InJjbnM2c3c2YWxudTNscW5kYnl6ZGkiLCJpYXQiOjE3OTAwMDAwMDAsImV4cCI6MTc5MDA4NjQwMSwiaWFtIjoxNzkwMDAwMDAwMTIzLCJleG0iOjE3OTAwODY0MDA0NTYsImp0aSI6InMzRHV1dWgyVlhYSDkwTThNUE0yR2ciLCJudW0iOiI4LTdxZG16TUxlMkdNaUlGblkwNl9CMFJCRjRUS3c5SyJ9.MNtMOHVuVSZNxojhF-o2Lt5Tdd_glYMYTwsce7TDhPA",
		Claims{AppID: 1, SecretGeneration: 3, IssuedAt: 1_790_000_000_123, ExpiresAt: 1_790_086_400_456},
	},
	{ // the present form
		"eyJhbGciOiJIUzI1NiIsImtpZCI6Inhkb2dxdXE3NTVyaWpxNHkiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJyb2xsY2FsbCIsImF1ZCI6InJjbnM2c3c2YWxudTNscW5kYnl6ZGkiLCJzdWIiOiJhbm4iLCJpYW0iOjE3OTAwMDAwMDAxMjMsImV4bSI6MTc5MDA4NjQwMDQ1NiwianRpIjoiQThhVEs4cnR6d3lGendiSHNyUzVsdyIsIm51bSI6Ijg3V2gwdVlFRllPN1ZVRFRNRFVzblA4QlZ4ZnVFYVZYIiwiaWF0IjoxNzkwMDAwMDAwLCJleHAiOjE3OTAwODY0MDF9.SRcWCTcVYMoyGHENCb1sAnUBD4pgRUKgDEh-CX_Aric",
		Claims{AppID: 1, UserID: 2, SecretGeneration: 3, TokenGeneration: 4, IssuedAt: 1_790_000_000_123, ExpiresAt: 1_790_086_400_456},
	},
	{
		"eyJhbGciOiJIUzI1NiIsImtpZCI6Inhkb2dxdXE3NTVyaWpxNHkiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJyb2xsY2FsbCIsImF1ZCI6ImFwcC1zZXJ2ZXI6cmNuczZzdzZhbG51M2xxbmRieXpkaSIsInN1YiI6ImFwcDpyY25zNnN3NmFsbnUzbHFuZGJ5emRpIiwiaWFtIjoxNzkwMDAwMDAwMTIzLCJleG0iOjE3OTAwODY0MDA0NTYsImp0aSI6IklVZ2ZtTmlmQTFEU2IwRnNZYnR3RXciLCJudW0iOiJtdGlUbWZEaFlUNTNzZGJNN1ltSHZERm15VVJ5MmFJVyIsImlhdCI6MTc5MDAwMDAwMCwiZXhwIjoxNzkwMDg2NDAxfQ.pF2f3z5OsBGXFjqaMtdNdjWVeE1Ua2Z0EPbadJav9MU",
		Claims{AppID: 1, SecretGeneration: 3, IssuedAt: 1_790_000_000_123, ExpiresAt: 1_790_086_400_456},
	},
}

const issuedKey = "a key of tokens with the old form"

// TestVerify_IssuedBefore: tokens that were issued by this version and the one before are valid
// until they expire.
func TestVerify_IssuedBefore(t *testing.T) {
	for at, good := range map[int64]func(Claims) bool{
		1_790_086_400_455: func(Claims) bool { return true },
		1_790_086_400_456: func(c Claims) bool { return c.ExpiresAt == 0 },
	} {
		keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), issuedKey, time.UnixMilli(at))
		for _, old := range issued {
			got, err := keys.Verify(t.Context(), old.text)
			got.key = nil
			if good(old.claims) && (err != nil || got != old.claims) {
				t.Errorf("%+v is verified at %d as %+v, %v", old.claims, at, got, err)
			}
			if !good(old.claims) && !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v passes at %d: %v", old.claims, at, err)
			}
		}
	}
}

// TestSign_HidesNumbers: no claim is a numeric key or a generation, and what hides them differs from
// token to token.
func TestSign_HidesNumbers(t *testing.T) {
	keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), "", time.UnixMilli(1))
	claims := Claims{AppID: 1_234_567, UserID: 7_654_321, SecretGeneration: 99_887, TokenGeneration: 77_889, IssuedAt: 5}
	seen := make(map[string]bool)
	for range 2 {
		text, err := keys.Sign(claims, "app", "ann")
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range payload(t, text) {
			if number, ok := value.(json.Number); ok && number != "5" && number != "0" {
				t.Errorf("%s is %s", name, number)
			}
			if name == "num" || name == "jti" {
				raw, err := base64.RawURLEncoding.DecodeString(value.(string))
				if err != nil || strings.Contains(string(raw), "\x00\x00\x00") {
					t.Errorf("%s is %x, %v", name, raw, err)
				}
				if seen[value.(string)] {
					t.Errorf("%s is %v twice", name, value)
				}
				seen[value.(string)] = true
			}
		}
	}
}

// TestVerify_OwnHeaderOnly: a token with any other header is refused, although it has a good
// signature.
func TestVerify_OwnHeaderOnly(t *testing.T) {
	keys := open(t, testenv.Open(t, testenv.SQLiteURL(t)), "", time.UnixMilli(1))
	good := sign(t, keys)
	_, rest, _ := strings.Cut(good, ".")
	claims, _, _ := strings.Cut(rest, ".")
	id := keys.signer(1).id
	for name, header := range map[string]string{
		"own":           `{"alg":"HS256","kid":"` + id + `","typ":"JWT"}`,
		"crit":          `{"alg":"HS256","crit":["exp"],"kid":"` + id + `","typ":"JWT"}`,
		"empty crit":    `{"alg":"HS256","crit":[],"kid":"` + id + `","typ":"JWT"}`,
		"b64":           `{"alg":"HS256","b64":false,"kid":"` + id + `","typ":"JWT"}`,
		"none":          `{"alg":"none","kid":"` + id + `","typ":"JWT"}`,
		"HS512":         `{"alg":"HS512","kid":"` + id + `","typ":"JWT"}`,
		"own key":       `{"alg":"HS256","jwk":{},"kid":"` + id + `","typ":"JWT"}`,
		"twice":         `{"alg":"none","alg":"HS256","kid":"` + id + `","typ":"JWT"}`,
		"other case":    `{"ALG":"HS256","kid":"` + id + `","typ":"JWT"}`,
		"space":         `{"alg":"HS256", "kid":"` + id + `","typ":"JWT"}`,
		"no type":       `{"alg":"HS256","kid":"` + id + `"}`,
		"no key":        `{"alg":"HS256","typ":"JWT"}`,
		"another key":   `{"alg":"HS256","kid":"x","typ":"JWT"}`,
		"the seal key":  `{"alg":"HS256","kid":"seal","typ":"JWT"}`,
		"not an object": `[]`,
	} {
		signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + claims
		sum, err := jwt.SigningMethodHS256.Sign(signed, keys.signer(1).secret)
		if err != nil {
			t.Fatal(err)
		}
		text := signed + "." + base64.RawURLEncoding.EncodeToString(sum)
		_, err = keys.Verify(context.Background(), text)
		if name == "own" && (err != nil || text != good) || name != "own" && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
