package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"

	"rollcall/internal/strictbase64"
	"rollcall/models"
)

// encoding is that of all parts of a JWT.
var encoding = base64.RawURLEncoding

// issuer is the iss of all tokens.
const issuer = "rollcall"

const (
	// appAudience precedes the app's key in the aud of an app token. The aud of a user token is the
	// key alone, so neither passes for the other at a verifier that knows only registered claims.
	appAudience = "app-server:"
	// appSubject precedes the app's key in the sub of an app token. No user ID has a colon.
	appSubject = "app:"
)

// signingKey signs tokens and verifies those that it has signed. A token is a JWT signed with
// HMAC-SHA-256 (JWS).
type signingKey struct {
	id         string // the tokens' kid
	configured bool
	createdAt  models.Time // 0 if configured; changes under Keys.mu
	// retiresAt is the models.Time from which on tokens of this key are refused; 0 means never.
	retiresAt atomic.Int64

	secret []byte
	// header is the first part of all tokens of this key. No other header is accepted, so a token
	// cannot choose its algorithm (alg) or demand an extension (crit).
	header string
	// numbers encrypts the numeric keys. The signature covers them, and they need only be hidden.
	numbers cipher.Block
}

func newSigningKey(id string, secret []byte) *signingKey {
	numbers, err := aes.NewCipher(derive(secret, "rollcall token numbers", 32))
	if err != nil {
		panic(err) // the key has AES's size
	}
	return &signingKey{id: id, secret: secret, header: headerOf(id), numbers: numbers}
}

// keyID returns the ID of the key with that secret.
func keyID(secret []byte) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(derive(secret, "rollcall token key ID", 10)))
}

func derive(secret []byte, purpose string, size int) []byte {
	derived, err := hkdf.Key(sha256.New, secret, nil, purpose, size)
	if err != nil {
		panic(err) // the sizes are constants
	}
	return derived
}

// retired reports whether tokens of the key are refused.
func (k *signingKey) retired(now models.Time) bool {
	at := models.Time(k.retiresAt.Load())
	return at != 0 && at <= now
}

// retireAt makes the key end at that time, or not by itself if it is nil.
func (k *signingKey) retireAt(at *models.Time) {
	if at == nil {
		k.retiresAt.Store(0)
	} else {
		k.retiresAt.Store(int64(*at))
	}
}

// retire ends the key now.
func (k *signingKey) retire() { k.retiresAt.Store(1) }

// jwtHeader is a token's header. Its fields are in the order in which package jwt writes them.
type jwtHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// headerOf returns the first part of tokens of the key with that ID.
func headerOf(id string) string {
	raw, err := json.Marshal(jwtHeader{Algorithm: jwt.SigningMethodHS256.Alg(), KeyID: id, Type: "JWT"})
	if err != nil {
		panic(err) // they are strings
	}
	return encoding.EncodeToString(raw)
}

// isHeader reports whether text is the header of some key.
func isHeader(header string) bool {
	raw, err := strictbase64.Decode(encoding, header)
	if err != nil {
		return false
	}
	var h jwtHeader
	return json.Unmarshal(raw, &h) == nil && headerOf(h.KeyID) == header
}

// body is the payload of a token.
type body struct {
	Issuer string `json:"iss"`
	claimed
	// IssuedAt and ExpiresAt are in seconds since 1970, as in RFC 7519, the latter rounded up.
	IssuedAt  int64 `json:"iat"`
	ExpiresAt int64 `json:"exp,omitempty"`

	jwt.RegisteredClaims `json:"-"` // only to implement jwt.Claims
}

// claimed are the claims of a token that are read when it is verified.
type claimed struct {
	// Audience is the app's key, after appAudience in an app token.
	Audience string `json:"aud"`
	// Subject is the user's external ID, or in an app token the app's key after appSubject. An app
	// token of the form before these prefixes has the audience of a user token and no subject; the
	// last one expires 30 days after it was issued.
	Subject string `json:"sub,omitempty"`
	// The times of iat and exp in ms, by which tokens are checked.
	IssuedAtMS  models.Time `json:"iam"`
	ExpiresAtMS models.Time `json:"exm,omitempty"`
	// ID distinguishes tokens that are issued within one millisecond, and is the initialization
	// vector of Numbers.
	ID string `json:"jti"`
	// Numbers are the numeric keys and generations, encrypted because they reveal how many rows all
	// apps have.
	Numbers string `json:"num"`
}

// isApps reports whether it is a token of an App Server, not of a user.
func (c *claimed) isApps() bool {
	return strings.HasPrefix(c.Audience, appAudience) || c.Subject == ""
}

// numbersSize is the size of the numbers: two keys and two generations.
const numbersSize = 8 + 8 + 4 + 4

// sign returns a token of an App Server if c names no user.
func (k *signingKey) sign(c Claims, appKey, userID string) (string, error) {
	if c.UserID == 0 {
		return k.signAs(c, appAudience+appKey, appSubject+appKey)
	}
	return k.signAs(c, appKey, userID)
}

func (k *signingKey) signAs(c Claims, audience, subject string) (string, error) {
	id, numbers := make([]byte, aes.BlockSize), make([]byte, 0, numbersSize)
	rand.Read(id)
	numbers = binary.BigEndian.AppendUint64(numbers, uint64(c.AppID))
	numbers = binary.BigEndian.AppendUint64(numbers, uint64(c.UserID))
	numbers = binary.BigEndian.AppendUint32(numbers, uint32(c.SecretGeneration))
	numbers = binary.BigEndian.AppendUint32(numbers, uint32(c.TokenGeneration))
	k.crypt(id, numbers)
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, &body{
		Issuer:   issuer,
		IssuedAt: int64(c.IssuedAt) / 1000, ExpiresAt: (int64(c.ExpiresAt) + 999) / 1000,
		claimed: claimed{
			Audience: audience, Subject: subject,
			IssuedAtMS: c.IssuedAt, ExpiresAtMS: c.ExpiresAt,
			ID: encoding.EncodeToString(id), Numbers: encoding.EncodeToString(numbers),
		},
	})
	t.Header["kid"] = k.id
	return t.SignedString(k.secret)
}

// parse returns the claims of a token of this key from its second and third part.
func (k *signingKey) parse(payload, signature string) (Claims, error) {
	sum, err := strictbase64.Decode(encoding, signature)
	if err != nil || jwt.SigningMethodHS256.Verify(k.header+"."+payload, sum, k.secret) != nil {
		return Claims{}, ErrInvalid
	}
	raw, err := strictbase64.Decode(encoding, payload)
	if err != nil {
		return Claims{}, ErrInvalid
	}
	var b claimed
	if json.Unmarshal(raw, &b) != nil {
		return Claims{}, ErrInvalid
	}
	id, err := encoding.DecodeString(b.ID)
	if err != nil || len(id) != aes.BlockSize {
		return Claims{}, ErrInvalid
	}
	numbers, err := encoding.DecodeString(b.Numbers)
	if err != nil || len(numbers) != numbersSize {
		return Claims{}, ErrInvalid
	}
	k.crypt(id, numbers)
	userID := int64(binary.BigEndian.Uint64(numbers[8:]))
	if b.isApps() != (userID == 0) {
		return Claims{}, ErrInvalid
	}
	return Claims{
		AppID:            int64(binary.BigEndian.Uint64(numbers)),
		UserID:           userID,
		SecretGeneration: int(binary.BigEndian.Uint32(numbers[16:])),
		TokenGeneration:  int(binary.BigEndian.Uint32(numbers[20:])),
		IssuedAt:         b.IssuedAtMS,
		ExpiresAt:        b.ExpiresAtMS,
		key:              k,
	}, nil
}

// crypt encrypts the numbers of the token with that ID in place, or decrypts them.
func (k *signingKey) crypt(id, numbers []byte) {
	cipher.NewCTR(k.numbers, id).XORKeyStream(numbers, numbers)
}
