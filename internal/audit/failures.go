package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/clientaddr"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Failed logins of one account from one network share an audit entry. Once there are many such
// entries, all other failures share one. Otherwise guests could fill the audit and hide in it what
// operators do.
const (
	// failureWindow is how long an entry counts the failures that follow the first.
	failureWindow = time.Hour
	// FailureEntries is the maximum number of entries that begin in a window, without the one of
	// all other failures.
	FailureEntries = 50
)

// The reasons of a failed login or confirmation, for the audit.
const (
	ReasonWrongPassword = "wrong_password"
	// ReasonWrongCode means in a login that the password was right.
	ReasonWrongCode    = "wrong_code"
	ReasonWrongPasskey = "wrong_passkey"
	// ReasonUnknownName is used without the name, because it may be a password in the wrong field.
	ReasonUnknownName = "unknown_name"
	// The reasons of failed logins by SSO: the OpenID Provider refused the login, its response was not
	// valid, no group has a role, or the e-mail address is not verified or of another domain.
	ReasonSSORefused = "sso_refused"
	ReasonSSOInvalid = "sso_invalid"
	ReasonSSONoRole  = "sso_no_role"
	ReasonSSOEmail   = "sso_email"
	// ReasonSSOOther means that another person has logged in at the provider. It is of confirmations only.
	ReasonSSOOther = "sso_other"
	// reasonVarious is used for the failures that share one entry because there are many others.
	reasonVarious = "various"
)

// FailedLogin is a failed login to record.
type FailedLogin struct {
	// Operator is nil if the name is unknown.
	Operator        *models.Operator
	Reason, Address string
	// Client is what the client calls itself, or "".
	Client string
}

// AddLoginFailure records a failed login.
func (l *Log) AddLoginFailure(ctx context.Context, in FailedLogin) error {
	own := failure{reason: in.Reason, network: validate.ClipASCII(clientaddr.Network(in.Address), addressLength), client: in.Client}
	if in.Operator != nil {
		own.name = in.Operator.Name
	}
	// One at a time, so that concurrent failures find each other's entry.
	l.failures.Lock()
	defer l.failures.Unlock()
	err := l.db.Tx(ctx, func(tx *gorm.DB) error {
		now := models.TimeOf(l.clock())
		recent, err := l.recentFailures(tx, now)
		if err != nil {
			return err
		}
		what := own
		entry := what.find(recent)
		if entry == nil && len(recent) >= FailureEntries {
			what = failure{reason: reasonVarious}
			entry = what.find(recent)
		}
		if entry != nil {
			return countFailure(tx, entry.ID, now, what.client)
		}
		return Write(tx, models.AuditEntry{
			At: now, Action: ActionLoginFailed, Target: what.name, Detail: "reason=" + what.reason + withClient(what.client), Address: what.network,
		})
	})
	if err != nil {
		return fmt.Errorf("auditing failed login: %w", err)
	}
	return nil
}

// recentFailures returns the entries that still count failures.
func (l *Log) recentFailures(tx *gorm.DB, now models.Time) ([]*models.AuditEntry, error) {
	var list []*models.AuditEntry
	err := tx.Table(l.db.Using("audit_entries", "audit_entries_action")).
		Where("action = ? AND at > ?", ActionLoginFailed, now.Add(-failureWindow)).
		Order("at DESC, id DESC").Limit(2 * FailureEntries).Find(&list).Error
	return list, err
}

// failure is what the failures that share an entry have in common, and the client of the last.
type failure struct{ name, reason, network, client string }

// find returns the entry of such failures, or nil if there is none.
func (f failure) find(list []*models.AuditEntry) *models.AuditEntry {
	at := slices.IndexFunc(list, func(e *models.AuditEntry) bool {
		return e.Target == f.name && e.Address == f.network && ReadLoginFailures(e.Detail).Reason == f.reason
	})
	if at < 0 {
		return nil
	}
	return list[at]
}

// countFailure adds a failure to an entry, which another node may be changing concurrently.
func countFailure(tx *gorm.DB, id int64, now models.Time, client string) error {
	entry := &models.AuditEntry{}
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", id).Take(entry).Error
	if err != nil {
		return err
	}
	f := ReadLoginFailures(entry.Detail)
	detail := fmt.Sprintf("reason=%s count=%d last=%s", f.Reason, f.Count+1, now) + withClient(client)
	return tx.Model(entry).Update("detail", detail).Error
}

// LoginFailures is what an entry records about failed logins, besides the account and the network.
type LoginFailures struct {
	// Reason is one of the reasons above.
	Reason string
	Count  int
	// Last is when the last one was, if there were several.
	Last models.Time
	// Client is what the last one's client calls itself, or "".
	Client string
}

// ReadLoginFailures reads the detail of an entry with the action ActionLoginFailed.
func ReadLoginFailures(detail string) LoginFailures {
	f := LoginFailures{Count: 1}
	last := ""
	_, f.Client, _ = strings.Cut(detail, clientMark)
	_, _ = fmt.Sscanf(detail, "reason=%s count=%d last=%s", &f.Reason, &f.Count, &last) // a single failure has only a reason
	if at, err := time.Parse(time.RFC3339, last); err == nil {
		f.Last = models.TimeOf(at)
	}
	return f
}
