package token

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/atrest"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// secretSize is the size of a stored key, the most that HMAC-SHA-256 benefits from.
const secretSize = atrest.PlainSize

// Info describes a signing key to operators.
type Info struct {
	ID         string
	Configured bool
	// CreatedAt is 0 for a configured key.
	CreatedAt models.Time
	// RetiresAt is when tokens of the key end, or nil if they end only when the key is retired.
	RetiresAt *models.Time
	// Signs reports whether new tokens are signed by it.
	Signs bool
}

// List returns the keys that verify tokens: first those in configured, then the stored ones, the
// oldest first.
func List(ctx context.Context, db *database.DB, configured string, now models.Time) ([]Info, error) {
	keys, err := parseConfigured(configured)
	if err != nil {
		return nil, err
	}
	rows, err := stored(db.Read(ctx))
	if err != nil {
		return nil, fmt.Errorf("reading the token keys: %w", err)
	}
	k := &Keys{configured: keys} // no other goroutine has it, so apply needs no lock
	k.apply(live(rows, now))
	signs := k.signer(now)
	var list []Info
	for _, key := range append(keys, k.stored...) {
		info := Info{ID: key.id, Configured: key.configured, CreatedAt: key.createdAt, Signs: key == signs}
		if at := models.Time(key.retiresAt.Load()); at != 0 {
			info.RetiresAt = &at
		}
		list = append(list, info)
	}
	return list, nil
}

// Rotate adds a key that signs, in tx, and returns its ID. The other stored keys verify for the
// duration overlap, or until they are retired if it is nil. Keys that have been retired are
// deleted. Rotate encrypts the new key with keys, which must decrypt the others: a server could not
// start with keys that are encrypted differently.
func Rotate(tx *gorm.DB, keys atrest.Keys, overlap *time.Duration, now models.Time) (id string, err error) {
	rows, err := lockStored(tx)
	if err == nil {
		_, err = decrypt(keys, live(rows, now))
	}
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if retired(row, now) {
			err = tx.Delete(&row).Error
		} else if overlap != nil {
			end := now.Add(*overlap)
			if row.RetiresAt != nil {
				end = min(end, *row.RetiresAt)
			}
			err = tx.Model(&row).Update("retires_at", end).Error
		}
		if err != nil {
			return "", err
		}
	}
	if len(rows) > 0 {
		now = max(now, rows[len(rows)-1].CreatedAt+1) // the newest, whatever the clock
	}
	return create(tx, keys, now)
}

// Retire deletes a stored key in tx, which ends its tokens. It returns INVALID_ARGUMENT if there is
// no such key, or if without it no key would stay: none is configured, and the other stored ones
// retire by themselves.
func Retire(tx *gorm.DB, id, configured string, now models.Time) error {
	keys, err := parseConfigured(configured)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.id == id {
			return fault.Invalid("id", "configured", "the key %q is configured: take it out of the setting", id)
		}
	}
	rows, err := lockStored(tx)
	if err != nil {
		return err
	}
	rows = live(rows, now)
	at := slices.IndexFunc(rows, func(row models.TokenKey) bool { return row.ID == id })
	if at < 0 {
		return fault.Invalid("id", "exists", "there is no stored key %q", id)
	}
	stays := func(row models.TokenKey) bool { return row.ID != id && row.RetiresAt == nil }
	if len(keys) == 0 && !slices.ContainsFunc(rows, stays) {
		return fault.Invalid("id", "last", "without the key %q none would be left to sign tokens: rotate first", id)
	}
	return tx.Delete(&rows[at]).Error
}

// place is where a key's secret is stored, for atrest.
func place(row models.TokenKey) string { return "token_keys " + string(row.Purpose) + " " + row.ID }

// decrypt decrypts the secrets of rows in place. current reports whether all were encrypted as a
// new one would be.
func decrypt(keys atrest.Keys, rows []models.TokenKey) (current bool, err error) {
	current = true
	for i := range rows {
		secret, is, err := keys.Open(rows[i].Secret, place(rows[i]))
		if err != nil {
			return false, err
		}
		rows[i].Secret, current = secret, current && is
	}
	return current, nil
}

// encrypt stores the secrets again that are not encrypted as new ones would be, because encryption
// was configured or another key became the first.
func (k *Keys) encrypt(ctx context.Context) error {
	keys := k.db.SecretKeys()
	if keys.None() {
		return nil
	}
	err := k.db.Tx(ctx, func(tx *gorm.DB) error {
		rows, err := lockStored(tx)
		if err != nil {
			return err
		}
		var seals []models.TokenKey
		if err := tx.Where("id = ?", sealID).Find(&seals).Error; err != nil {
			return err
		}
		rows = append(live(rows, k.now()), seals...)
		if current, err := decrypt(keys, rows); err != nil || current {
			return err
		}
		for _, row := range rows {
			sealed := keys.Seal(row.Secret, place(row))
			if err := tx.Model(&models.TokenKey{}).Where("id = ?", row.ID).Update("secret", sealed).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("encrypting the token keys: %w", err)
	}
	return nil
}

// stored returns the rows of the signing keys, the oldest first, with their secrets as they are
// stored.
func stored(db *gorm.DB) ([]models.TokenKey, error) {
	var rows []models.TokenKey
	err := db.Where("purpose = ?", models.KeySigns).Order("created_at, id").Find(&rows).Error
	return rows, err
}

// lockStored is stored for a transaction that changes the keys. It locks the rows, so that other
// such transactions wait until it ends.
func lockStored(tx *gorm.DB) ([]models.TokenKey, error) {
	var seal []models.TokenKey
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", sealID).Find(&seal).Error
	if err != nil {
		return nil, err
	}
	return stored(tx)
}

// create stores a new key and returns its ID.
func create(tx *gorm.DB, keys atrest.Keys, now models.Time) (id string, err error) {
	secret := make([]byte, secretSize)
	rand.Read(secret)
	row := models.TokenKey{ID: keyID(secret), CreatedAt: now, Purpose: models.KeySigns}
	row.Secret = keys.Seal(secret, place(row))
	return row.ID, tx.Create(&row).Error
}

// live returns the keys that have not been retired.
func live(rows []models.TokenKey, now models.Time) []models.TokenKey {
	var list []models.TokenKey
	for _, row := range rows {
		if !retired(row, now) {
			list = append(list, row)
		}
	}
	return list
}

func retired(row models.TokenKey, now models.Time) bool {
	return row.RetiresAt != nil && *row.RetiresAt <= now
}
