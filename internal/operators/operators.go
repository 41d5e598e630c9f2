// Package operators implements the rules for operators of the console: their accounts, logins,
// sessions, passwords and API keys.
package operators

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/showonce"
	"rollcall/internal/throttle"
	"rollcall/internal/token"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Service implements the rules for operators: accounts in this file and change.go, logins in
// logins.go, second factors in second_factor.go, sessions in sessions.go, API keys in keys.go.
type Service struct {
	db     *database.DB
	clock  func() time.Time
	hasher *hasher
	rooms  rooms
	// throttle counts failed logins.
	throttle *throttle.Throttle
	log      *audit.Log
	// requirement is which operators must have a second factor.
	requirement Requirement
	// sso is how operators log in by SSO, or nil if they do not.
	sso *SSO
	// vault encrypts the secrets of authenticator apps.
	vault *token.Vault
	// The time of a failed login is a multiple of failureTime. If it is 0, failed logins are not
	// delayed.
	failureTime time.Duration
	show        func(name, password string) error // see Showing; nil if nothing is shown
}

// New returns a Service that counts failed logins in its own memory. clock is time.Now outside
// tests.
func New(db *database.DB, clock func() time.Time) *Service {
	return &Service{
		db: db, clock: clock, hasher: newHasher(), rooms: newRooms(), throttle: throttle.New(clock), log: audit.New(db, clock),
		vault: token.NewVault(db, ""),
	}
}

// Encrypting returns a copy of o that encrypts the secrets of authenticator apps also for the
// configured token keys; see token.CheckConfigured.
func (o *Service) Encrypting(tokenKey string) *Service {
	encrypts := *o
	encrypts.vault = token.NewVault(o.db, tokenKey)
	return &encrypts
}

// Limiting returns a copy of o that counts failed logins in t and delays each to a multiple of
// failureTime.
func (o *Service) Limiting(t *throttle.Throttle, failureTime time.Duration) *Service {
	limits := *o
	limits.throttle, limits.failureTime = t, failureTime
	return &limits
}

// Showing returns a copy of o that calls show once with each password that Create or SetPassword
// sets, given or generated, before the change is committed. If show returns an error, nothing is
// changed.
func (o *Service) Showing(show func(name, password string) error) *Service {
	shows := *o
	shows.show = show
	return &shows
}

func (o *Service) showing(name, password string) *showonce.Showing {
	if o.show == nil {
		return &showonce.Showing{}
	}
	return &showonce.Showing{Show: func() error { return o.show(name, password) }}
}

// Create creates an operator and returns its password: the given one, or a generated one if that is
// "". The password cannot be read later. A generated one is temporary. Returns INVALID_ARGUMENT for the fields name, password,
// role and apps.
func (o *Service) Create(ctx context.Context, name string, grant models.Grant, password string, by models.Actor) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	temporary := password == ""
	password, hash, err := o.prepare(ctx, password)
	if err != nil {
		return "", err
	}
	now := models.TimeOf(o.clock())
	shown := o.showing(name, password)
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		detail, err := prepareGrant(tx, &grant)
		if err != nil {
			return err
		}
		operator := &models.Operator{
			Name: name, PasswordHash: hash, PasswordTemporary: temporary, Grant: grant, CreatedAt: now,
		}
		if err := tx.Create(operator).Error; err != nil {
			return err
		}
		if err := o.audit(tx, by, audit.ActionOperatorCreate, name, detail); err != nil {
			return err
		}
		return shown.Now()
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return "", errNameTaken(name)
	}
	if err != nil {
		return "", wrap(shown.Explain(err), "creating operator")
	}
	return password, nil
}

// reservedNames are names that the audit uses for other actors.
var reservedNames = []string{audit.AppServer.Name, audit.CommandLine.Name, audit.SSO.Name}

func errNoOperator(name string) error {
	return fault.Invalid("name", "exists", "there is no operator named %q", name)
}

// audit records in tx what by did to an operator.
func (o *Service) audit(tx *gorm.DB, by models.Actor, action, name, detail string) error {
	return audit.Write(tx, models.AuditEntry{
		At: models.TimeOf(o.clock()), Actor: by.Name, ActorKey: by.Key, Action: action, Target: name, Detail: detail, Address: by.Address,
	})
}

// wrap adds the operation to an error that is not meant for callers.
func wrap(err error, operation string) error {
	var refusal *fault.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// SetPassword sets an operator's password, or generates a temporary one if it is "", and returns it.
// The operator's sessions end. Returns INVALID_ARGUMENT for an unknown name and for oneself (rule
// own_password), and for one that logs in by SSO (rule sso): an open session must not be enough to take over its account, so operators change
// their own password only by ChangePassword.
func (o *Service) SetPassword(ctx context.Context, name, password string, by models.Actor) (string, error) {
	if name == by.Name {
		return "", fault.Invalid("operator", "own_password", "your own password can only be changed with the current one")
	}
	_, password, err := o.setPassword(ctx, name, password, 0, by)
	return password, err
}

// setPassword is SetPassword for any operator. It also returns the operator after the change. The
// session spared, an operator_sessions.id or 0, does not end.
func (o *Service) setPassword(ctx context.Context, name, password string, spared int64, by models.Actor) (*models.Operator, string, error) {
	operator, err := o.ByName(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if operator == nil {
		return nil, "", errNoOperator(name)
	}
	if operator.BySSO() {
		return nil, "", errBySSO(operator)
	}
	temporary := password == ""
	password, hash, err := o.prepare(ctx, password)
	if err != nil {
		return nil, "", err
	}
	shown := o.showing(name, password)
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		err := tx.Model(operator).Select("password_hash", "password_temporary").
			Updates(&models.Operator{PasswordHash: hash, PasswordTemporary: temporary}).Error
		if err != nil {
			return err
		}
		ended, err := o.endSessions(tx, operator.ID, EndPassword, "id <> ?", spared)
		if err != nil {
			return err
		}
		if err := tx.Where("operator_id = ?", operator.ID).Delete(&models.OperatorPendingLogin{}).Error; err != nil {
			return err
		}
		if err := o.audit(tx, by, audit.ActionPasswordSet, name, fmt.Sprintf("sessions=%d", ended)); err != nil {
			return err
		}
		return shown.Now()
	})
	if err != nil {
		return nil, "", fmt.Errorf("setting operator's password: %w", shown.Explain(err))
	}
	return operator, password, nil
}

// prepare checks a password, or generates one if it is "", and hashes it.
func (o *Service) prepare(ctx context.Context, password string) (plain, hash string, err error) {
	if password == "" {
		password = NewPassword()
	}
	if err := CheckPassword(password); err != nil {
		return "", "", err
	}
	if hash, err = o.hasher.hash(ctx, password); err != nil {
		return "", "", fmt.Errorf("hashing password: %w", err)
	}
	return password, hash, nil
}

// List returns all operators by name.
func (o *Service) List(ctx context.Context) ([]*models.Operator, error) {
	var list []*models.Operator
	if err := o.db.Read(ctx).Order("name").Find(&list).Error; err != nil {
		return nil, fmt.Errorf("listing operators: %w", err)
	}
	return list, nil
}

// ByName returns the operator with exactly that name, or nil if there is none.
func (o *Service) ByName(ctx context.Context, name string) (*models.Operator, error) {
	if validate.NameForm(name) != nil {
		return nil, nil // no operator can have such a name
	}
	operator := &models.Operator{}
	err := o.db.Read(ctx).Where("name = ?", name).Take(operator).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading operator: %w", err)
	}
	return operator, nil
}

// Any reports whether there is any operator.
func (o *Service) Any(ctx context.Context) (bool, error) {
	var found []int64
	if err := o.db.Read(ctx).Model(&models.Operator{}).Limit(1).Pluck("id", &found).Error; err != nil {
		return false, fmt.Errorf("looking for operators: %w", err)
	}
	return len(found) > 0, nil
}
