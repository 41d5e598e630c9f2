package webhooks

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"gorm.io/gorm"

	"rollcall/internal/token"
	"rollcall/models"
)

// place is where an endpoint's secrets are stored, for token.Ring. The previous secret has the same
// place as the present one, because a rotation moves it.
func place(endpointID int64) string { return "webhook_endpoints " + strconv.FormatInt(endpointID, 10) }

// secretsOf returns the secrets that sign now, the present one first. Returns a *token.KeyError.
func secretsOf(ring *token.Ring, e *models.WebhookEndpoint, now models.Time) ([][]byte, error) {
	secret, err := ring.Open(e.Secret, place(e.ID))
	if err != nil {
		return nil, err
	}
	secrets := [][]byte{secret}
	if len(e.PreviousSecret) > 0 && now < e.PreviousSecretEndsAt {
		previous, err := ring.Open(e.PreviousSecret, place(e.ID))
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, previous)
	}
	return secrets, nil
}

// RenewSecrets encrypts the secrets of all endpoints for the keys in ring, in a transaction that has
// changed the token keys. They stay encrypted for keys that ring does not have.
func RenewSecrets(tx *gorm.DB, ring *token.Ring) error {
	_, _, err := renewSecrets(tx, ring, false)
	return err
}

// renewSecrets is RenewSecrets; all is that of token.Ring.Renew. It leaves secrets that cannot be
// decrypted as they are: of these, it returns how many endpoints have one, and why.
func renewSecrets(tx *gorm.DB, ring *token.Ring, all bool) (unopened int, keyErr *token.KeyError, err error) {
	var list []*models.WebhookEndpoint
	err = tx.Clauses(forUpdate).Select("id", "secret", "previous_secret").Where("state <> ?", models.EndpointDeleted).
		Order("id").Find(&list).Error
	if err != nil {
		return 0, nil, fmt.Errorf("reading the secrets of webhook endpoints: %w", err)
	}
	for _, e := range list {
		changed, failed := false, false
		for _, stored := range []*[]byte{&e.Secret, &e.PreviousSecret} {
			if len(*stored) == 0 {
				continue
			}
			renewed, differs, err := ring.Renew(*stored, place(e.ID), all)
			if errors.As(err, &keyErr) {
				failed = true
			} else if err != nil {
				return 0, nil, err
			}
			*stored, changed = renewed, changed || differs
		}
		if failed {
			unopened++
		}
		if !changed {
			continue
		}
		if err := tx.Model(e).Select("secret", "previous_secret").Updates(e).Error; err != nil {
			return 0, nil, fmt.Errorf("encrypting the secrets of webhook endpoints: %w", err)
		}
	}
	return unopened, keyErr, nil
}

// Start encrypts the secrets of all endpoints for the token keys that there are now: others may be
// configured since. Endpoints whose secrets it cannot decrypt are left to the nodes that can; it logs
// how many there are.
func (s *Service) Start(ctx context.Context) error {
	var unopened int
	var keyErr *token.KeyError
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		ring, err := s.vault.Lock(tx, s.now())
		if err != nil {
			return err
		}
		unopened, keyErr, err = renewSecrets(tx, ring, true)
		return err
	})
	if err != nil {
		return err
	}
	if unopened > 0 {
		s.warnUnopened(ctx, "endpoints", int64(unopened), keyErr)
	}
	return nil
}

// warnUnopened logs that secrets cannot be decrypted, with the ID of an endpoint or how many there are.
func (s *Service) warnUnopened(ctx context.Context, key string, endpoint int64, err *token.KeyError) {
	s.opts.Logger.WarnContext(ctx, "the secret of a webhook endpoint cannot be decrypted; this node sends it nothing", key, endpoint, "error", err)
}
