package operators

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// KeyMark begins every API key, so that a key in a file or a log is recognized as one.
	KeyMark = "rck_"
	// MaxKeys is how many API keys an operator may have. Expired ones do not count.
	MaxKeys = 20
	// MaxKeyLifetime is the longest lifetime of an API key.
	MaxKeyLifetime = 365 * 24 * time.Hour
	// keyMemory is how long an expired API key is listed.
	keyMemory = 30 * 24 * time.Hour
	// keyShown is how many characters of an API key are stored to recognize it: the mark and 40 of
	// its 256 random bits.
	keyShown = len(KeyMark) + 8
)

// errKey is the same for a key that never existed, was revoked or has expired, or whose operator
// was deleted.
var errKey = fault.New(fault.Unauthenticated, "the API key is unknown, revoked or expired")

// The limits of wrong API keys, by network and in all. The right key is never refused: no guess
// finds 256 bits, and wrong keys must not lock others out.
var (
	keyNetworkRule = &throttle.Rule{
		Name: "key-network", Free: 30, Delay: 20 * time.Second, MaxDelay: 20 * time.Second, Memory: 10 * time.Minute,
	}
	keyEveryoneRule = &throttle.Rule{
		Name: "key-all", Free: 60, Delay: time.Second, MaxDelay: time.Second, Memory: time.Minute,
	}
)

// NewKey describes an API key to make.
type NewKey struct {
	// Name must be new among the operator's keys.
	Name string
	// Lifetime is at least an hour and at most MaxKeyLifetime.
	Lifetime time.Duration
	// Grant is what the key may do. It must not be more than what the operator may.
	Grant models.Grant
}

// checkLifetime returns INVALID_ARGUMENT for a lifetime that keys cannot have.
func checkLifetime(d time.Duration) error {
	switch {
	case d < time.Hour:
		return fault.Invalid("expiry", "min", "an API key lasts at least an hour")
	case d > MaxKeyLifetime:
		return fault.Invalid("expiry", "max", "an API key lasts at most %d days", MaxKeyLifetime/(24*time.Hour))
	}
	return nil
}

// CreateKey makes an API key of the operator and returns it with its text, which cannot be read later.
// The caller has confirmed the operator's identity. Returns INVALID_ARGUMENT for the fields name
// (rules unique, and limit if the operator has MaxKeys), expiry (rules min and max), and role and
// apps (rule own if the operator may not do as much, or as in SetRole).
func (o *Service) CreateKey(ctx context.Context, operator *models.Operator, in NewKey, by models.Actor) (*models.OperatorKey, string, error) {
	if err := errors.Join(validate.Name(in.Name), checkLifetime(in.Lifetime), checkGrant(in.Grant)); err != nil {
		return nil, "", err
	}
	text := newKeyText()
	now := models.TimeOf(o.clock())
	var key *models.OperatorKey
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		// Locks the operator, so that a concurrent change of its role is visible here, and its keys are
		// counted one after the other.
		owner := &models.Operator{}
		err := tx.Clauses(forUpdate).Where("id = ?", operator.ID).Take(owner).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return errSessionEnded
		}
		if err != nil {
			return err
		}
		grant := in.Grant
		detail, err := prepareGrant(tx, &grant)
		if err != nil {
			return err
		}
		if err := checkWithin(grant, owner.Grant); err != nil {
			return err
		}
		list, err := keysOf(tx, owner.ID)
		if err != nil {
			return err
		}
		live := 0
		for _, k := range list {
			if k.Name == in.Name {
				return fault.Invalid("name", "unique", "you already have an API key named %q", in.Name)
			}
			if now < k.ExpiresAt {
				live++
			}
		}
		if live >= MaxKeys {
			return fault.Invalid("name", "limit", "an operator can have at most %d API keys; revoke one first", MaxKeys).With("limit", MaxKeys)
		}
		key = &models.OperatorKey{
			OperatorID: owner.ID, Name: in.Name, KeyHash: hashToken(text), Prefix: text[:keyShown], Grant: grant,
			CreatedAt: now, ExpiresAt: now.Add(in.Lifetime),
		}
		if err := tx.Create(key).Error; err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionKeyCreate, owner.Name, audit.KeyDetail(key.Prefix, detail, key.Name))
	})
	if err != nil {
		return nil, "", wrap(err, "creating API key")
	}
	return key, text, nil
}

// newKeyText returns a new API key: letters and digits only after the mark, so that a double click
// selects it.
func newKeyText() string {
	raw := make([]byte, 32)
	rand.Read(raw)
	return KeyMark + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}

// checkWithin refuses a grant that permits more than that of its operator.
func checkWithin(grant, operator models.Grant) error {
	switch {
	case !operator.Role.Includes(grant.Role):
		return fault.Invalid("role", "own", "an API key cannot have a higher role than its operator")
	case operator.AllApps:
		return nil
	case grant.AllApps || slices.ContainsFunc(grant.AppIDs, func(id int64) bool { return !operator.Covers(id) }):
		return fault.Invalid("apps", "own", "an API key cannot be for apps that its operator is not for")
	}
	return nil
}

func keysOf(tx *gorm.DB, operatorID int64) (list []*models.OperatorKey, err error) {
	err = tx.Where("operator_id = ?", operatorID).Order("created_at DESC, id DESC").Find(&list).Error
	return list, err
}

// Keys returns the operator's API keys, newest first. Those that have expired are among them for 30
// days.
func (o *Service) Keys(ctx context.Context, operatorID int64) ([]*models.OperatorKey, error) {
	list, err := keysOf(o.db.Read(ctx), operatorID)
	return list, wrap(err, "listing API keys")
}

// AllKeys returns the API keys of all operators, newest first, as Keys does.
func (o *Service) AllKeys(ctx context.Context) (list []*models.OperatorKey, err error) {
	err = o.db.Read(ctx).Order("created_at DESC, id DESC").Find(&list).Error
	return list, wrap(err, "listing API keys")
}

// ByKeyID returns the operator that has the API key with that operator_keys.id, or nil if there is none.
func (o *Service) ByKeyID(ctx context.Context, id int64) (*models.Operator, error) {
	var list []*models.Operator
	err := o.db.Read(ctx).Where("id IN (?)", o.db.Read(ctx).Model(&models.OperatorKey{}).Select("operator_id").Where("id = ?", id)).
		Find(&list).Error
	if err != nil || len(list) == 0 {
		return nil, wrap(err, "reading API key's operator")
	}
	return list[0], nil
}

// RevokeKey deletes an API key of the operator. It returns the key, or nil if the operator has no
// such key.
func (o *Service) RevokeKey(ctx context.Context, operatorID, keyID int64, by models.Actor) (revoked *models.OperatorKey, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		revoked = &models.OperatorKey{}
		err := tx.Clauses(forUpdate).Where("id = ? AND operator_id = ?", keyID, operatorID).Take(revoked).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			revoked = nil
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Delete(revoked).Error; err != nil {
			return err
		}
		operator := &models.Operator{}
		if err := tx.Where("id = ?", operatorID).Take(operator).Error; err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionKeyRevoke, operator.Name, audit.KeyDetail(revoked.Prefix, "", revoked.Name))
	})
	if err != nil {
		return nil, wrap(err, "revoking API key")
	}
	return revoked, nil
}

// KeyUse is a request with an API key.
type KeyUse struct {
	Key      *models.OperatorKey
	Operator *models.Operator
	// Grant is what the request may do: no more than the key's grant, and no more than what the
	// operator may at present.
	Grant models.Grant
}

// ByKey returns what a request with that API key may do, and counts as a use of the key. Returns
// UNAUTHENTICATED if there is no such key or it has expired; RATE_LIMITED with retryAfterMs instead
// after too many of these from the address's network; FORBIDDEN while the operator must replace a
// temporary password or set up a second factor, because it may not use the console then either.
func (o *Service) ByKey(ctx context.Context, text, address string) (*KeyUse, error) {
	use, err := o.keyUse(ctx, text)
	if fault.CodeOf(err) == fault.Unauthenticated {
		_, refusal := o.throttle.Begin(ctx,
			throttle.Key{Rule: keyNetworkRule, Subject: clientaddr.Network(address)}, throttle.Key{Rule: keyEveryoneRule})
		if refusal != nil {
			return nil, fault.TooOften(refusal.Wait, "too many wrong API keys")
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case use.Operator.PasswordTemporary:
		return nil, fault.New(fault.Forbidden, "the key's operator must first log in to the console and replace its temporary password")
	case use.Operator.BySSO() && !o.accepts(use.Operator):
		return nil, fault.New(fault.Forbidden, "the key's operator logs in by SSO, which is off")
	case o.LacksSecondFactor(use.Operator):
		return nil, fault.New(fault.Forbidden, "the key's operator must first log in to the console and set up a second factor")
	}
	return use, o.touchKey(ctx, use.Key, validate.ClipASCII(address, addressLength))
}

func (o *Service) keyUse(ctx context.Context, text string) (*KeyUse, error) {
	if !strings.HasPrefix(text, KeyMark) {
		return nil, errKey
	}
	key, operator := &models.OperatorKey{}, &models.Operator{}
	err := o.db.Read(ctx).Where("key_hash = ?", hashToken(text)).Take(key).Error
	if err == nil {
		err = o.db.Read(ctx).Where("id = ?", key.OperatorID).Take(operator).Error
	}
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, errKey
	case err != nil:
		return nil, fmt.Errorf("reading API key: %w", err)
	case models.TimeOf(o.clock()) >= key.ExpiresAt:
		return nil, errKey
	}
	return &KeyUse{Key: key, Operator: operator, Grant: key.Within(operator.Grant)}, nil
}

// touchKey records the use of a key, at most once every touchInterval.
func (o *Service) touchKey(ctx context.Context, key *models.OperatorKey, address string) error {
	now := models.TimeOf(o.clock())
	if key.LastUsedAt != 0 && now < key.LastUsedAt.Add(touchInterval) {
		return nil
	}
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.OperatorKey{}).Where("id = ? AND last_used_at < ?", key.ID, now).
			Updates(map[string]any{"last_used_at": now, "last_used_address": address}).Error
	})
	if err != nil {
		return fmt.Errorf("touching API key: %w", err)
	}
	key.LastUsedAt, key.LastUsedAddress = now, address
	return nil
}

// removeKeys deletes the API keys of an operator.
func removeKeys(tx *gorm.DB, operator *models.Operator) error {
	return tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorKey{}).Error
}
