package apps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/token"
	"rollcall/models"
)

// RotateTokenKey stores a new key that signs tokens, and returns its ID; see token.Rotate.
func (s *Service) RotateTokenKey(ctx context.Context, overlap *time.Duration, by models.Actor) (id string, err error) {
	detail := ""
	if overlap != nil {
		detail = fmt.Sprintf("overlap=%s", *overlap)
	}
	err = s.changeTokenKeys(ctx, "", audit.ActionTokenKeyRotate, detail, by, func(tx *gorm.DB, now models.Time) (string, error) {
		id, err = token.Rotate(tx, s.db.SecretKeys(), overlap, now)
		return id, err
	})
	return id, err
}

// RetireTokenKey deletes a stored key; configured holds the keys that are not stored. It returns
// token.Retire's errors.
func (s *Service) RetireTokenKey(ctx context.Context, id, configured string, by models.Actor) error {
	return s.changeTokenKeys(ctx, configured, audit.ActionTokenKeyRetire, "", by, func(tx *gorm.DB, now models.Time) (string, error) {
		return id, token.Retire(tx, id, configured, now)
	})
}

// changeTokenKeys runs change, which returns the key's ID, encrypts what is encrypted with token keys
// for those that are left, and records the change in the audit.
func (s *Service) changeTokenKeys(ctx context.Context, configured, action, detail string, by models.Actor, change func(tx *gorm.DB, now models.Time) (id string, err error)) error {
	vault := token.NewVault(s.db, configured)
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		now := models.TimeOf(s.clock())
		before, err := vault.Lock(tx, now)
		if err != nil {
			return err
		}
		id, err := change(tx, now)
		if err != nil {
			return err
		}
		after, err := vault.Read(tx, now)
		if err != nil {
			return err
		}
		after.Opens(before)
		for _, renew := range s.renew {
			if err := renew(tx, after); err != nil {
				return err
			}
		}
		return audit.Write(tx, models.AuditEntry{
			At: now, Actor: by.Name, Action: action, Target: id, Detail: detail, Address: by.Address,
		})
	})
	if refusal := (*fault.Error)(nil); err != nil && !errors.As(err, &refusal) {
		return fmt.Errorf("changing the token keys: %w", err)
	}
	return err
}
