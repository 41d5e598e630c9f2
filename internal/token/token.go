// Package token signs and verifies the bearer tokens of apps and users. It
// knows signatures and expiry; whether a token was revoked is for the rules, who
// ask the database on every request.
package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/opaque"
	"rollcall/models"
)

// ErrInvalid is answered for whatever is no token of ours, has a broken
// signature, or has expired.
var ErrInvalid = errors.New("the token is malformed, foreign or expired")

// keyBytes is the size of a signing key: what HMAC-SHA-256 can use.
const keyBytes = 32

// cacheSize bounds the verified signatures kept in memory, about 200 bytes each.
const cacheSize = 1 << 16

// Claims are what a token says.
type Claims struct {
	// AppID is apps.id.
	AppID int64 `json:"app"`
	// UserID is users.id, 0 in an app token. Numeric keys are never used again,
	// so a token does not fit a later user with the same external ID.
	UserID int64 `json:"usr,omitempty"`
	// SecretGeneration is the app's when the token was issued.
	SecretGeneration int `json:"sgn"`
	// TokenGeneration is the user's when the token was issued.
	TokenGeneration int `json:"tgn,omitempty"`
	// IssuedAt and ExpiresAt are in ms; RFC 7519's iat and exp count seconds,
	// too coarse for "issued before". 0: does not expire.
	IssuedAt  models.Time `json:"iam"`
	ExpiresAt models.Time `json:"exm,omitempty"`
	// Nonce tells tokens apart that are issued within one millisecond.
	Nonce string `json:"jti"`
}

// The methods make Claims usable by the JWT library; the times are checked by
// Verify itself, in milliseconds.

// GetExpirationTime answers no time.
func (*Claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuedAt answers no time.
func (*Claims) GetIssuedAt() (*jwt.NumericDate, error) { return nil, nil }

// GetNotBefore answers no time.
func (*Claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer answers none.
func (*Claims) GetIssuer() (string, error) { return "", nil }

// GetSubject answers none.
func (*Claims) GetSubject() (string, error) { return "", nil }

// GetAudience answers none.
func (*Claims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }

// Keys signs with the newest key and verifies with all that the database has.
type Keys struct {
	db     *database.DB
	clock  func() time.Time
	secret opaque.Secret

	mu     sync.RWMutex
	newest *models.TokenKey
	byID   map[string][]byte
	// verified remembers good signatures by the token's hash; a second look at
	// the same token costs one SHA-256 and no JSON. Revocation is never cached.
	verified map[[sha256.Size]byte]Claims
}

// OpenKeys loads the signing keys. Where there is none it makes one; where
// configured is not empty, that text signs from now on, and older keys go on
// verifying.
func OpenKeys(ctx context.Context, db *database.DB, configured string, clock func() time.Time) (*Keys, error) {
	k := &Keys{db: db, clock: clock}
	if err := k.loadSecret(ctx); err != nil {
		return nil, err
	}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	var secret []byte
	switch {
	case configured != "":
		sum := sha256.Sum256([]byte(configured))
		secret = sum[:]
		if k.newest != nil && string(k.newest.Secret) == string(secret) {
			return k, nil
		}
	case k.newest != nil:
		return k, nil
	default:
		secret = make([]byte, keyBytes)
		rand.Read(secret)
	}
	if err := k.add(ctx, secret, configured != ""); err != nil {
		return nil, err
	}
	return k, k.load(ctx)
}

// sealID is the ID of the key that seals; nodes that start together on an empty database meet here.
const sealID = "seal"

// Secret returns what encrypts the numeric keys in cursors and IDs, the same on all nodes.
func (k *Keys) Secret() opaque.Secret { return k.secret }

// loadSecret reads the key that seals, and makes it in a new database.
func (k *Keys) loadSecret(ctx context.Context) error {
	for {
		var row models.TokenKey
		err := k.db.Read(ctx).Where("id = ?", sealID).Take(&row).Error
		if err == nil && len(row.Secret) != len(k.secret) {
			err = fmt.Errorf("it has %d bytes, not %d", len(row.Secret), len(k.secret))
		}
		if err == nil {
			k.secret = opaque.Secret(row.Secret)
			return nil
		}
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return fmt.Errorf("loading the key that seals: %w", err)
		}
		row = models.TokenKey{ID: sealID, Secret: make([]byte, len(k.secret)), Purpose: models.KeySeals, CreatedAt: models.TimeOf(k.clock())}
		rand.Read(row.Secret)
		err = k.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
		if err != nil && !errors.Is(err, gorm.ErrDuplicatedKey) {
			return fmt.Errorf("storing the key that seals: %w", err)
		}
	}
}

// add stores a key as the newest. Without force it gives way to one that another
// node has made in the meantime.
func (k *Keys) add(ctx context.Context, secret []byte, force bool) error {
	sum := sha256.Sum256(secret)
	id := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
	if !force {
		id = "first" // nodes that start together on an empty database meet here
	}
	key := models.TokenKey{ID: id, Secret: secret, Purpose: models.KeySigns, CreatedAt: models.TimeOf(k.clock())}
	err := k.db.Tx(ctx, func(tx *gorm.DB) error {
		done := tx.Model(&models.TokenKey{}).Where("id = ?", id).Update("created_at", key.CreatedAt)
		if done.Error != nil || (done.RowsAffected > 0 && force) {
			return done.Error
		}
		return tx.Create(&key).Error
	})
	if err != nil && !(errors.Is(err, gorm.ErrDuplicatedKey) && !force) {
		return fmt.Errorf("storing a token key: %w", err)
	}
	return nil
}

func (k *Keys) load(ctx context.Context) error {
	var keys []models.TokenKey
	if err := k.db.Read(ctx).Where("purpose = ?", models.KeySigns).Order("created_at, id").Find(&keys).Error; err != nil {
		return fmt.Errorf("loading the token keys: %w", err)
	}
	byID := make(map[string][]byte, len(keys))
	for _, key := range keys {
		byID[key.ID] = key.Secret
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID = byID
	k.verified = make(map[[sha256.Size]byte]Claims)
	if len(keys) > 0 {
		k.newest = &keys[len(keys)-1]
	}
	return nil
}

// Sign answers a token that says c, with its issue time and nonce filled in.
func (k *Keys) Sign(c Claims) (string, error) {
	nonce := make([]byte, 9)
	rand.Read(nonce)
	c.Nonce = base64.RawURLEncoding.EncodeToString(nonce)
	k.mu.RLock()
	key := k.newest
	k.mu.RUnlock()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, &c)
	t.Header["kid"] = key.ID
	return t.SignedString(key.Secret)
}

// Verify answers what a token says when it is one of ours and has not expired,
// else ErrInvalid.
func (k *Keys) Verify(ctx context.Context, text string) (Claims, error) {
	sum := sha256.Sum256([]byte(text))
	k.mu.RLock()
	claims, ok := k.verified[sum]
	k.mu.RUnlock()
	if !ok {
		var err error
		if claims, err = k.parse(ctx, text); err != nil {
			return Claims{}, err
		}
		k.remember(sum, claims)
	}
	if claims.ExpiresAt != 0 && claims.ExpiresAt <= models.TimeOf(k.clock()) {
		return Claims{}, ErrInvalid
	}
	return claims, nil
}

func (k *Keys) parse(ctx context.Context, text string) (Claims, error) {
	// The strict decoding skips line breaks all the same, and those in the signature are not signed.
	if strings.ContainsAny(text, "\r\n") {
		return Claims{}, ErrInvalid
	}
	var claims Claims
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()).
		ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
			id, _ := t.Header["kid"].(string)
			return k.signingSecret(ctx, id)
		})
	if err != nil {
		// A database that is away must not look like a bad token.
		var away *loadError
		if errors.As(err, &away) {
			return Claims{}, away.err
		}
		return Claims{}, ErrInvalid
	}
	return claims, nil
}

type loadError struct{ err error }

func (e *loadError) Error() string { return e.err.Error() }

// signingSecret returns the key named id; one that is not known here may have been
// added by another node since, so the database is asked before it is refused.
func (k *Keys) signingSecret(ctx context.Context, id string) ([]byte, error) {
	k.mu.RLock()
	secret, ok := k.byID[id]
	k.mu.RUnlock()
	if ok {
		return secret, nil
	}
	var key models.TokenKey
	err := k.db.Read(ctx).Where("id = ? AND purpose = ?", id, models.KeySigns).Take(&key).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrInvalid
	}
	if err != nil {
		return nil, &loadError{fmt.Errorf("loading token key: %w", err)}
	}
	k.mu.Lock()
	k.byID[id] = key.Secret
	k.mu.Unlock()
	return key.Secret, nil
}

func (k *Keys) remember(sum [sha256.Size]byte, claims Claims) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.verified) >= cacheSize {
		// Any of them will do: a token that is in use comes back at once.
		for old := range k.verified {
			delete(k.verified, old)
			break
		}
	}
	k.verified[sum] = claims
}
