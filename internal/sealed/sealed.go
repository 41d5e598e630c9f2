// Package sealed keeps short-lived values that only the holder of a key can read: what a form's
// first submission led to, a new secret until it has been read, what was typed before a login.
//
// The key is in the operator's browser. The database, which all nodes share, has a digest of the key
// and the value encrypted under it, so neither a backup nor the database's administrator reveals a
// value.
package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/retention"
	"rollcall/models"
)

// MaxSize is the maximum size of a value as JSON, in bytes.
const MaxSize = 128 << 10

// Store keeps values. A key belongs to an owner, which is the ID of an operator's session: the value
// of another owner's key is not found.
type Store struct {
	db    *database.DB
	clock func() time.Time
}

// New returns a Store; clock is time.Now except in tests.
func New(db *database.DB, clock func() time.Time) *Store { return &Store{db, clock} }

// Expiring returns the rule that deletes expired values.
func Expiring() []retention.Rule {
	return []retention.Rule{{Rows: "sealed values", Table: &models.SealedValue{}, Key: "id", Column: "expires_at"}}
}

// NewKey returns a random key.
func NewKey() string { return rand.Text() }

// Put keeps the value, as JSON, under a new key, which it returns.
func (s *Store) Put(ctx context.Context, owner int64, value any, lifetime time.Duration) (key string, err error) {
	key = NewKey()
	content, err := seal(owner, key, value)
	if err != nil {
		return "", err
	}
	row := models.SealedValue{Digest: digest(owner, key), Content: content, ExpiresAt: s.now().Add(lifetime)}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		row.ID = 0
		return tx.Create(&row).Error
	})
	if err != nil {
		return "", fmt.Errorf("keeping a sealed value: %w", err)
	}
	return key, nil
}

// Get reads the value of the key into value, a pointer. It reports false if there is none, or none
// yet.
func (s *Store) Get(ctx context.Context, owner int64, key string, value any) (found bool, err error) {
	row, err := s.row(ctx, owner, key)
	if err != nil || row == nil || len(row.Content) == 0 {
		return false, err
	}
	return true, open(owner, key, row.Content, value)
}

// Claim reserves the key for the caller, which must then call Set or Release. It reports false if
// the key is already reserved or has a value.
func (s *Store) Claim(ctx context.Context, owner int64, key string, lifetime time.Duration) (mine bool, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		row := models.SealedValue{Digest: digest(owner, key), ExpiresAt: s.now().Add(lifetime)}
		return tx.Create(&row).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		// An expired row that has not been swept yet is free for the next claim.
		expired := "DELETE FROM sealed_values WHERE digest = ? AND expires_at <= ?"
		return false, fault.Wrap(s.db.Exec(ctx, expired, digest(owner, key), s.now()), "claiming a key")
	}
	if err != nil {
		return false, fmt.Errorf("claiming a key: %w", err)
	}
	return true, nil
}

// Claimed reports whether the key is reserved or has a value.
func (s *Store) Claimed(ctx context.Context, owner int64, key string) (bool, error) {
	row, err := s.row(ctx, owner, key)
	return row != nil, err
}

// Set gives a key that the caller has claimed its value.
func (s *Store) Set(ctx context.Context, owner int64, key string, value any) error {
	content, err := seal(owner, key, value)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.SealedValue{}).Where("digest = ?", digest(owner, key)).Update("content", content).Error
	})
	if err != nil {
		return fmt.Errorf("setting a sealed value: %w", err)
	}
	return nil
}

// Release deletes a key, so that it can be claimed again.
func (s *Store) Release(ctx context.Context, owner int64, key string) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Where("digest = ?", digest(owner, key)).Delete(&models.SealedValue{}).Error
	})
	if err != nil {
		return fmt.Errorf("releasing a key: %w", err)
	}
	return nil
}

func (s *Store) now() models.Time { return models.TimeOf(s.clock()) }

// row returns the key's row, or nil if there is none that has not expired.
func (s *Store) row(ctx context.Context, owner int64, key string) (*models.SealedValue, error) {
	var rows []*models.SealedValue
	err := s.db.Read(ctx).Where("digest = ? AND expires_at > ?", digest(owner, key), s.now()).Limit(1).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading a sealed value: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0], nil
}

// digest identifies a key of an owner in the database.
func digest(owner int64, key string) []byte {
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64([]byte("rollcall sealed value"), uint64(owner)), key...))
	return sum[:]
}

func seal(owner int64, key string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	if len(plain) > MaxSize {
		return nil, fmt.Errorf("a sealed value of %d bytes is too large", len(plain))
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, digest(owner, key)), nil
}

func open(owner int64, key string, content []byte, value any) error {
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	plain, err := aead.Open(nil, nil, content, digest(owner, key))
	if err != nil {
		return errors.New("a sealed value does not decrypt")
	}
	return json.Unmarshal(plain, value)
}

// newAEAD returns AES-256-GCM with random nonces. The key is random, so deriving from it may be
// quick.
func newAEAD(key string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key), nil, "rollcall sealed value", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
