package models

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Role determines what an operator may do in the console.
type Role string

// The roles. Each may do what the ones before it may.
const (
	// RoleViewer sees everything except secrets, and changes nothing.
	RoleViewer Role = "viewer"
	// RoleModerator bans and disconnects users, ends their tokens, switches their whitelists and writes
	// notes about them.
	RoleModerator Role = "moderator"
	// RoleAdmin changes everything in apps.
	RoleAdmin Role = "admin"
	// RoleOwner also manages operators. Owners are for all apps.
	RoleOwner Role = "owner"
)

// Roles returns all roles, from the one with the fewest rights to the one with the most.
func Roles() []Role { return []Role{RoleViewer, RoleModerator, RoleAdmin, RoleOwner} }

// Includes reports whether r may do everything that other may. An unknown role includes no role,
// and no role includes it.
func (r Role) Includes(other Role) bool {
	roles := Roles()
	at := slices.Index(roles, other)
	return at >= 0 && slices.Index(roles, r) >= at
}

// Grant is what an operator may do: a role, in all apps or in named ones.
type Grant struct {
	Role Role
	// AllApps is true if the role is for all apps, also those that are created later.
	AllApps bool
	// AppIDs are the apps.id of the named apps, in ascending order, if AllApps is false.
	AppIDs IDs
}

// Covers reports whether the grant is for the app with that apps.id.
func (g Grant) Covers(appID int64) bool { return g.AllApps || slices.Contains(g.AppIDs, appID) }

// Within returns what both grants permit: the lower role, in the apps of both.
func (g Grant) Within(other Grant) Grant {
	common := Grant{AllApps: g.AllApps && other.AllApps}
	switch {
	case g.Role.Includes(other.Role):
		common.Role = other.Role
	case other.Role.Includes(g.Role):
		common.Role = g.Role
	}
	for _, id := range append(slices.Clone(g.AppIDs), other.AppIDs...) {
		if g.Covers(id) && other.Covers(id) {
			common.AppIDs = append(common.AppIDs, id)
		}
	}
	slices.Sort(common.AppIDs)
	common.AppIDs = slices.Compact(common.AppIDs)
	return common
}

// Only returns those of the apps that the grant is for.
func (g Grant) Only(list []*App) []*App {
	var covered []*App
	for _, app := range list {
		if g.Covers(app.ID) {
			covered = append(covered, app)
		}
	}
	return covered
}

// IDs is a list of keys in one column, separated by commas.
type IDs []int64

// Value returns the column's text.
func (ids IDs) Value() (driver.Value, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(texts, ","), nil
}

// Scan reads the column's text.
func (ids *IDs) Scan(value any) error {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case []byte:
		text = string(value)
	default:
		return fmt.Errorf("reading IDs: the column is a %T", value)
	}
	*ids = nil
	for part := range strings.SplitSeq(text, ",") {
		if text == "" {
			break
		}
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return fmt.Errorf("reading IDs: %w", err)
		}
		*ids = append(*ids, id)
	}
	return nil
}

// Operator is a person who runs the service and logs in to the console.
type Operator struct {
	ID   int64 `gorm:"primaryKey"`
	Name string
	// PasswordHash is an argon2id hash in PHC form, or "" if the operator logs in by SSO.
	PasswordHash string
	// PasswordTemporary is true if the password was generated for the operator, so that another
	// person may know it. The operator must change it before it can do anything else.
	PasswordTemporary bool
	Grant             `gorm:"embedded"`
	CreatedAt         Time `gorm:"autoCreateTime:false"`
	// HasSecondFactor reports whether a login needs more than the password.
	HasSecondFactor bool
	// SSOIssuer and SSOSubject identify the operator at an OpenID Provider. They are "" for an
	// operator with a password.
	SSOIssuer, SSOSubject string
	// SSOHash is the SHA-256 of both, or nil.
	SSOHash UniqueHash
}

// UniqueHash is a hash in a column with a unique index. If it is nil, the column is NULL, which is
// not compared.
type UniqueHash []byte

// Value returns the column's value.
func (h UniqueHash) Value() (driver.Value, error) {
	if len(h) == 0 {
		return nil, nil
	}
	return []byte(h), nil
}

// Scan reads the column's value.
func (h *UniqueHash) Scan(value any) error {
	raw, ok := value.([]byte)
	if !ok && value != nil {
		return fmt.Errorf("reading a hash: the column is a %T", value)
	}
	*h = slices.Clone(raw)
	return nil
}

// BySSO reports whether the operator logs in at an OpenID Provider. It then has no password and no
// second factor here.
func (o *Operator) BySSO() bool { return o.SSOIssuer != "" }

// OperatorSession is one login of an operator.
type OperatorSession struct {
	ID int64 `gorm:"primaryKey"`
	// TokenHash is the SHA-256 of the cookie's value, which is not stored.
	TokenHash  []byte
	OperatorID int64
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	LastSeenAt Time
	// ConfirmedAt is when the operator last confirmed its identity, or 0 if it has not.
	ConfirmedAt Time
	// Address is the address that the login came from.
	Address   string
	UserAgent string
	// Method is what the operator logged in with.
	Method LoginMethod
}

// OperatorKey is an API key, with which programs use the management API as an operator.
type OperatorKey struct {
	ID         int64 `gorm:"primaryKey"`
	OperatorID int64
	// Name is how the operator recognizes the key.
	Name string
	// KeyHash is the SHA-256 of the key, which is not stored.
	KeyHash []byte
	// Prefix is how the key begins.
	Prefix string
	// Grant is the most that the key may do; see Grant.Within.
	Grant     `gorm:"embedded"`
	CreatedAt Time `gorm:"autoCreateTime:false"`
	ExpiresAt Time
	// LastUsedAt is when the key was last used, to the minute, or 0 if it was not. LastUsedAddress is
	// where that request came from.
	LastUsedAt      Time
	LastUsedAddress string
}

// OperatorSessionEnd records how a session ended before it expired.
type OperatorSessionEnd struct {
	ID int64 `gorm:"primaryKey"`
	// TokenHash is that of the session.
	TokenHash  []byte
	OperatorID int64
	Reason     string
	EndedAt    Time
}

// AuditEntry records one action. Entries are not changed after they are added, except that an entry
// for failed logins counts those that follow it for an hour. They are deleted after
// ROLLCALL_AUDIT_RETENTION.
type AuditEntry struct {
	ID int64 `gorm:"primaryKey"`
	// AppID is nil if the action concerns no app, such as a login.
	AppID *int64
	At    Time
	// Actor is the operator's name.
	Actor string
	// ActorKey is the name of the operator's API key, or "" if the operator acted in the console.
	ActorKey string
	Action   string
	// Target is the external ID or the name of what the action changed.
	Target string
	// Detail never contains a secret, a token, or a user's name or avatar.
	Detail  string
	Address string
	// ChainNumber is the entry's place in the chain, and ChainHash its hash with that of the entry
	// before. They are nil until the entry is chained; see audit.Log.Chain.
	ChainNumber *int64
	ChainHash   []byte
}

// AuditChain has the ends of the chain of audit entries, in one row with the ID 1.
type AuditChain struct {
	ID int64 `gorm:"primaryKey;autoIncrement:false"`
	// LastNumber and LastHash are those of the last entry.
	LastNumber int64
	LastHash   []byte
	// AnchorNumber and AnchorHash are those of the last entry that was deleted because of its age.
	AnchorNumber int64
	AnchorHash   []byte
}

// KeyPurpose is what a TokenKey is for.
type KeyPurpose string

// The purposes.
const (
	// KeySigns is for keys that sign user and app tokens. The newest one signs; older ones verify.
	KeySigns KeyPurpose = "sign"
	// KeySeals is for the one key that encrypts the numeric keys in cursors and IDs. It is not
	// replaced when the signing keys are rotated, so that existing cursors and IDs stay valid.
	KeySeals KeyPurpose = "seal"
)

// TokenKey is a secret that the nodes of a service share.
type TokenKey struct {
	ID        string `gorm:"primaryKey"`
	Secret    []byte
	CreatedAt Time `gorm:"autoCreateTime:false"`
	Purpose   KeyPurpose
	// RetiresAt is when tokens signed by the key stop being valid. It is nil until the key is
	// retired.
	RetiresAt *Time
}

// Actor is the operator or command that performed an action, for the audit.
type Actor struct {
	// OperatorID is the operators.id of an operator, or 0 for another actor.
	OperatorID int64
	// Name is an operator's name, or the name of a command.
	Name string
	// Key is the name of the API key that the operator used, or "".
	Key string
	// Address is where the request came from, or "" for a command.
	Address string
}
