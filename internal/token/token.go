// Package token signs and verifies the bearer tokens of apps and users. It
// knows signatures and expiry; whether a token was revoked is for the rules, who
// ask the database on every request.
package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

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

// Claims are what a token says of itself.
type Claims struct {
	// AppID is apps.id.
	AppID int64
	// UserID is users.id, 0 in an app token. Numeric keys are never used again,
	// so a token does not fit a later user with the same external ID.
	UserID int64
	// SecretGeneration is the app's when the token was issued.
	SecretGeneration int
	// TokenGeneration is the user's when the token was issued.
	TokenGeneration int
	// IssuedAt and ExpiresAt are in ms, so that "issued before" is exact. ExpiresAt 0: the token does
	// not expire.
	IssuedAt, ExpiresAt models.Time
}

// Keys signs with the newest key and verifies with all that the database has.
type Keys struct {
	db     *database.DB
	clock  func() time.Time
	secret opaque.Secret

	mu       sync.RWMutex
	newest   *signingKey
	byHeader map[string]*signingKey // by their tokens' first part
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
		if k.newest != nil && string(k.newest.secret) == string(secret) {
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
	byHeader := make(map[string]*signingKey, len(keys))
	var newest *signingKey
	for _, row := range keys {
		newest = newSigningKey(row.ID, row.Secret)
		byHeader[newest.header] = newest
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.newest, k.byHeader = newest, byHeader
	k.verified = make(map[[sha256.Size]byte]Claims)
	return nil
}

// Sign returns a token that makes the claims, for the app with that key and, for a user token, the
// user with that external ID.
func (k *Keys) Sign(c Claims, appKey, userID string) (string, error) {
	k.mu.RLock()
	key := k.newest
	k.mu.RUnlock()
	return key.sign(c, appKey, userID)
}

// Verify answers what a token says when it is one of ours and has not expired,
// else ErrInvalid.
func (k *Keys) Verify(ctx context.Context, text string) (Claims, error) {
	var buffer [512]byte // on the stack; nearly all tokens fit
	sum := sha256.Sum256(append(buffer[:0], text...))
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
	header, rest, _ := strings.Cut(text, ".")
	key, err := k.signingKey(ctx, header)
	if err != nil {
		return Claims{}, err
	}
	body, signature, _ := strings.Cut(rest, ".")
	return key.parse(body, signature)
}

// signingKey returns the key of tokens with that header. The database is asked for one that is not
// known here, because another node may have added it.
func (k *Keys) signingKey(ctx context.Context, header string) (*signingKey, error) {
	k.mu.RLock()
	key, ok := k.byHeader[header]
	k.mu.RUnlock()
	if ok {
		return key, nil
	}
	id, ok := keyOfHeader(header)
	if !ok {
		return nil, ErrInvalid
	}
	var row models.TokenKey
	err := k.db.Read(ctx).Where("id = ? AND purpose = ?", id, models.KeySigns).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("loading token key: %w", err)
	}
	key = newSigningKey(row.ID, row.Secret)
	k.mu.Lock()
	k.byHeader[header] = key
	k.mu.Unlock()
	return key, nil
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
