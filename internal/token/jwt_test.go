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
		claims        Claims
		subject       string
		issued, until int64
		names         string
	}{
		{user, "ann", 1_790_000_000, 1_790_000_061, "aud exm exp iam iat iss jti num sub"},
		{app, "", 1_790_000_000, 0, "aud iam iat iss jti num"},
	} {
		text, err := keys.Sign(want.claims, "appkey", want.subject)
		if err != nil {
			t.Fatal(err)
		}
		var got jwt.RegisteredClaims
		_, err = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("rollcall"), jwt.WithAudience("appkey"),
			jwt.WithTimeFunc(func() time.Time { return now })).
			ParseWithClaims(text, &got, func(*jwt.Token) (any, error) { return keys.signer(1).secret, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != want.subject || got.IssuedAt.Unix() != want.issued || got.ID == "" {
			t.Errorf("%+v", got)
		}
		if (got.ExpiresAt == nil) != (want.until == 0) || got.ExpiresAt != nil && got.ExpiresAt.Unix() != want.until {
			t.Errorf("it expires at %v, not %d", got.ExpiresAt, want.until)
		}
		if names := strings.Join(slices.Sorted(maps.Keys(payload(t, text))), " "); names != want.names {
			t.Errorf("the claims are %s, not %s", names, want.names)
		}
		claims, err := keys.Verify(context.Background(), text)
		claims.key = nil
		if err != nil || claims != want.claims {
			t.Errorf("%+v is verified as %+v, %v", want.claims, claims, err)
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
