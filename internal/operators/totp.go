package operators

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"gorm.io/gorm"

	"rollcall/internal/atrest"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/token"
	"rollcall/models"
)

// The codes are those that authenticator apps make unless they are told otherwise (RFC 6238).
const (
	codeDigits = otp.DigitsSix
	codePeriod = 30 * time.Second
	// codeSkew is how many periods a code may be early or late, for clocks that differ.
	codeSkew = 1
	// totpSize is the size of a secret in bytes, as RFC 4226 recommends.
	totpSize = 20
	// totpIssuer names the service in an authenticator app.
	totpIssuer = "Rollcall"
)

// EnrolmentLifetime is how long after StartTOTP the first code must be entered.
const EnrolmentLifetime = 15 * time.Minute

var errWrongCode = fault.Invalid("code", "wrong", "the code is wrong or was used before")

// Enrolment is a secret for an authenticator app that has not been confirmed yet.
type Enrolment struct {
	// Secret is the secret in base32, for typing.
	Secret string
	// URL is the secret in the form that apps read from a QR code.
	URL string
}

// Spaced returns the secret in groups of four characters. Apps ignore the spaces.
func (e Enrolment) Spaced() string {
	groups := slices.Collect(slices.Chunk([]byte(e.Secret), 4))
	return string(bytes.Join(groups, []byte(" ")))
}

// StartTOTP makes a new secret for the operator's authenticator app. It takes effect with
// ConfirmTOTP; until then a former one stays in use.
func (o *Service) StartTOTP(ctx context.Context, operator *models.Operator) error {
	if operator.BySSO() {
		return errBySSO(operator)
	}
	// A vault stores secrets of one size, of which TOTP uses the beginning.
	secret := make([]byte, atrest.PlainSize)
	rand.Read(secret)
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		now := models.TimeOf(o.clock())
		ring, err := o.vault.Lock(tx, now)
		if err != nil {
			return err
		}
		sealed, err := ring.Seal(secret, totpPlace(operator.ID))
		if err != nil {
			return err
		}
		if err := tx.Where("operator_id = ? AND confirmed_at = 0", operator.ID).Delete(&models.OperatorTOTP{}).Error; err != nil {
			return err
		}
		return tx.Create(&models.OperatorTOTP{OperatorID: operator.ID, Secret: sealed, CreatedAt: now}).Error
	})
	return wrap(err, "storing the secret of an authenticator app")
}

// StartedTOTP returns what StartTOTP has made, or nil if there is nothing to confirm.
func (o *Service) StartedTOTP(ctx context.Context, operator *models.Operator) (*Enrolment, error) {
	row, secret, err := o.startedTOTP(o.db.Read(ctx), operator)
	if err != nil || row == nil {
		return nil, wrap(err, "reading the secret of an authenticator app")
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	u := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/" + totpIssuer + ":" + operator.Name,
		RawQuery: "secret=" + text + "&issuer=" + totpIssuer,
	}
	return &Enrolment{Secret: text, URL: u.String()}, nil
}

func (o *Service) startedTOTP(tx *gorm.DB, operator *models.Operator) (*models.OperatorTOTP, []byte, error) {
	now := models.TimeOf(o.clock())
	row, err := takeTOTP(tx.Where("confirmed_at = 0 AND created_at > ?", now.Add(-EnrolmentLifetime)), operator)
	if err != nil || row == nil {
		return nil, nil, err
	}
	secret, err := o.openTOTP(tx, row)
	return row, secret, err
}

// ConfirmTOTP makes the secret of StartTOTP the operator's second factor, in place of a former one,
// if code is one of its codes. It returns new recovery codes if the operator had none; they cannot
// be read later. Returns INVALID_ARGUMENT for the field code, with the rule wrong or expired.
func (o *Service) ConfirmTOTP(ctx context.Context, operator *models.Operator, code string, by models.Actor) (recovery []string, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := lockOperator(tx, operator); err != nil {
			return err
		}
		row, secret, err := o.startedTOTP(tx, operator)
		if err != nil {
			return err
		}
		if row == nil {
			return fault.Invalid("code", "expired", "the set-up has expired, begin again")
		}
		now := o.clock()
		step, right := matchingStep(secret, normalCode(code), now)
		if !right {
			return errWrongCode
		}
		if err := tx.Where("operator_id = ? AND id <> ?", operator.ID, row.ID).Delete(&models.OperatorTOTP{}).Error; err != nil {
			return err
		}
		row.ConfirmedAt, row.LastStep = models.TimeOf(now), step
		if err := tx.Model(row).Select("confirmed_at", "last_step").Updates(row).Error; err != nil {
			return err
		}
		if err := updateHasSecondFactor(tx, operator); err != nil {
			return err
		}
		if recovery, err = firstRecoveryCodes(tx, operator); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionTOTPAdd, operator.Name, "")
	})
	if err != nil {
		return nil, wrap(err, "confirming an authenticator app")
	}
	return recovery, nil
}

// RemoveTOTP removes the operator's authenticator app, and its recovery codes if it has no other
// second factor. It reports whether there was one.
func (o *Service) RemoveTOTP(ctx context.Context, operator *models.Operator, by models.Actor) (removed bool, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := lockOperator(tx, operator); err != nil {
			return err
		}
		gone := tx.Where("operator_id = ? AND confirmed_at > 0", operator.ID).Delete(&models.OperatorTOTP{})
		if removed = gone.RowsAffected > 0; gone.Error != nil || !removed {
			return gone.Error
		}
		if err := updateHasSecondFactor(tx, operator); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionTOTPRemove, operator.Name, "")
	})
	return removed, wrap(err, "removing an authenticator app")
}

// useTOTP accepts a code of the operator's authenticator app, once, or returns errWrongCode.
func (o *Service) useTOTP(tx *gorm.DB, operator *models.Operator, code string) error {
	row, err := takeTOTP(tx.Where("confirmed_at > 0"), operator)
	if err != nil {
		return err
	}
	if row == nil {
		return errWrongCode
	}
	secret, err := o.openTOTP(tx, row)
	if err != nil {
		return err
	}
	step, right := matchingStep(secret, code, o.clock())
	if !right {
		return errWrongCode
	}
	used := tx.Model(row).Where("last_step < ?", step).Update("last_step", step)
	if used.Error == nil && used.RowsAffected == 0 {
		return errWrongCode
	}
	return used.Error
}

// matchingStep returns the period in which the secret has that code, near now.
func matchingStep(secret []byte, code string, now time.Time) (step int64, right bool) {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	current := now.Unix() / int64(codePeriod/time.Second)
	for step := current - codeSkew; step <= current+codeSkew; step++ {
		right, err := hotp.ValidateCustom(code, uint64(step), text, hotp.ValidateOpts{Digits: codeDigits, Algorithm: otp.AlgorithmSHA1})
		if err == nil && right {
			return step, true
		}
	}
	return 0, false
}

// takeTOTP returns the operator's row that query selects, or nil if there is none.
func takeTOTP(query *gorm.DB, operator *models.Operator) (*models.OperatorTOTP, error) {
	row := &models.OperatorTOTP{}
	err := query.Where("operator_id = ?", operator.ID).Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return row, err
}

// openTOTP returns the secret of a row.
func (o *Service) openTOTP(tx *gorm.DB, row *models.OperatorTOTP) ([]byte, error) {
	ring, err := o.vault.Read(tx, models.TimeOf(o.clock()))
	if err != nil {
		return nil, err
	}
	secret, err := ring.Open(row.Secret, totpPlace(row.OperatorID))
	if err != nil {
		return nil, err
	}
	return secret[:totpSize], nil
}

// totpPlace is where an operator's secrets are stored, for token.Ring.
func totpPlace(operatorID int64) string { return "operator_totps " + strconv.FormatInt(operatorID, 10) }

// RenewSecrets encrypts the secrets of all authenticator apps for the keys in ring, in a transaction
// that has changed the token keys. They stay encrypted for keys that ring does not have.
func RenewSecrets(tx *gorm.DB, ring *token.Ring) error {
	_, _, err := renewSecrets(tx, ring, false)
	return err
}

// renewSecrets is RenewSecrets; all is that of token.Ring.Renew. It leaves secrets that cannot be
// decrypted as they are: it returns how many there are, and why.
func renewSecrets(tx *gorm.DB, ring *token.Ring, all bool) (unopened int, keyErr *token.KeyError, err error) {
	var list []*models.OperatorTOTP
	if err := tx.Clauses(forUpdate).Order("id").Find(&list).Error; err != nil {
		return 0, nil, fmt.Errorf("reading the secrets of authenticator apps: %w", err)
	}
	for _, row := range list {
		renewed, changed, err := ring.Renew(row.Secret, totpPlace(row.OperatorID), all)
		if errors.As(err, &keyErr) {
			unopened++
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if !changed {
			continue
		}
		if err := tx.Model(row).Update("secret", renewed).Error; err != nil {
			return 0, nil, fmt.Errorf("encrypting the secrets of authenticator apps: %w", err)
		}
	}
	return unopened, keyErr, nil
}

// Start encrypts the secrets of all authenticator apps for the token keys that there are now: others
// may be configured since. It returns how many it cannot decrypt, and why. On this node, their
// operators need recovery codes.
func (o *Service) Start(ctx context.Context) (unopened int, keyErr *token.KeyError, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		ring, err := o.vault.Lock(tx, models.TimeOf(o.clock()))
		if err != nil {
			return err
		}
		unopened, keyErr, err = renewSecrets(tx, ring, true)
		return err
	})
	return unopened, keyErr, err
}
