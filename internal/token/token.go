// Package token signs and verifies the bearer tokens of apps and users. It checks signatures and
// expiry. Whether a token was revoked is checked in the database on every request, by the callers.
package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"rollcall/internal/fault"
	"rollcall/models"
)

// ErrInvalid is returned for a text that is not a token of this service, has a broken signature,
// has expired, or belongs to a retired key.
var ErrInvalid = errors.New("the token is malformed, foreign or expired")

var (
	// errNoKey is returned if a running server has no key left that signs: the stored ones were
	// deleted, or it cannot decrypt them.
	errNoKey = fault.New(fault.Unavailable, "no token can be issued at the moment; try again")
	// errUnopened is returned for a token of a stored key that this server cannot decrypt. The token
	// may be good.
	errUnopened = fault.New(fault.Unavailable, "the token cannot be verified at the moment; try again")
)

// cacheSize bounds the verified signatures kept in memory, about 200 bytes each.
const cacheSize = 1 << 16

// Claims are the contents of a token.
type Claims struct {
	// AppID is apps.id.
	AppID int64
	// UserID is users.id, or 0 in an app token. Numeric keys are never reused, so a token does not
	// become valid for a later user with the same external ID.
	UserID int64
	// SecretGeneration is the app's when the token was issued.
	SecretGeneration int
	// TokenGeneration is the user's when the token was issued.
	TokenGeneration int
	// IssuedAt and ExpiresAt are in ms, so that "issued before" is exact. If ExpiresAt is 0, the
	// token does not expire.
	IssuedAt, ExpiresAt models.Time

	key *signingKey // the key that verified it, or nil
}

// Ended reports whether the token has expired, or its key has been retired.
func (c *Claims) Ended(now models.Time) bool {
	return c.Expired(now) || c.key != nil && c.key.retired(now)
}

// Expired reports whether the token has expired.
func (c *Claims) Expired(now models.Time) bool { return c.ExpiresAt != 0 && c.ExpiresAt <= now }

// Sign returns a token with these claims, for the app with that key. userID is the external ID of
// the user in a user token, and "" in an app token. The caller sets the times; Sign adds only a
// random ID. Returns UNAVAILABLE if no key can sign.
func (k *Keys) Sign(c Claims, appKey, userID string) (string, error) {
	key := k.signer(k.now())
	if key == nil {
		return "", errNoKey
	}
	return key.sign(c, appKey, userID)
}

// Verify returns a token's claims. It returns ErrInvalid unless the token is one of this service
// and has not ended, UNAVAILABLE if its key cannot be decrypted here, or another error if its key
// could not be read from the database.
func (k *Keys) Verify(ctx context.Context, text string) (Claims, error) {
	claims, err := k.Read(ctx, text)
	if err == nil && claims.Ended(k.now()) {
		return Claims{}, ErrInvalid
	}
	return claims, err
}

// Read is Verify for a token that may have ended. A token of a key that has been deleted is
// ErrInvalid all the same.
func (k *Keys) Read(ctx context.Context, text string) (Claims, error) {
	var buffer [512]byte // on the stack; nearly all tokens fit
	sum := sha256.Sum256(append(buffer[:0], text...))
	k.mu.RLock()
	claims, ok := k.verified[sum]
	k.mu.RUnlock()
	if ok {
		return claims, nil
	}
	claims, err := k.parse(ctx, text)
	if err != nil {
		return Claims{}, err
	}
	if !claims.Ended(k.now()) {
		k.remember(sum, claims)
	}
	return claims, nil
}

func (k *Keys) parse(ctx context.Context, text string) (Claims, error) {
	header, rest, _ := strings.Cut(text, ".")
	key, err := k.byTokens(ctx, header)
	if err != nil {
		return Claims{}, err
	}
	body, signature, _ := strings.Cut(rest, ".")
	return key.parse(body, signature)
}

func (k *Keys) remember(sum [sha256.Size]byte, claims Claims) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.verified) >= cacheSize {
		// Any one will do: a token in use is soon added again.
		for old := range k.verified {
			delete(k.verified, old)
			break
		}
	}
	k.verified[sum] = claims
}

// LiveGeneration returns the SQL expression for the generation of the secret that tokens of an app
// must have been issued under, given the name of the app's row. It is models.NoSecret if the app is
// disabled.
func LiveGeneration(app string) string {
	return "CASE WHEN " + app + ".disabled_at = 0 THEN " + app + ".secret_generation ELSE -1 END"
}
