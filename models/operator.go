package models

// Role is what an operator may do in the console.
type Role string

// The roles: an admin does everything, a viewer changes nothing.
const (
	RoleAdmin  Role = "admin"
	RoleViewer Role = "viewer"
)

// Operator is a person who runs the service and logs in to the console.
type Operator struct {
	ID   int64 `gorm:"primaryKey"`
	Name string
	// PasswordHash is an argon2id hash in PHC form.
	PasswordHash string
	Role         Role
	CreatedAt    Time `gorm:"autoCreateTime:false"`
}

// OperatorSession is one login of an operator.
type OperatorSession struct {
	ID int64 `gorm:"primaryKey"`
	// TokenHash is the SHA-256 of the cookie's value, which is stored nowhere.
	TokenHash  []byte
	OperatorID int64
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	LastSeenAt Time
	// ConfirmedAt is when the operator last confirmed its password, 0 if it has not.
	ConfirmedAt Time
	// Address is where the login came from.
	Address   string
	UserAgent string
}

// AuditEntry says who did what to whom. Rows are added and, after ROLLCALL_AUDIT_RETENTION,
// deleted, and not changed in between, except that one for failed logins counts those that
// follow it.
type AuditEntry struct {
	ID int64 `gorm:"primaryKey"`
	// AppID is nil for what concerns no app, such as a login.
	AppID *int64
	At    Time
	// Actor is the operator's name.
	Actor  string
	Action string
	// Target is the external ID or name of what was acted on.
	Target string
	// Detail never holds a secret, a token, or a user's name or avatar.
	Detail  string
	Address string
}

// KeyPurpose is what a TokenKey is for.
type KeyPurpose string

// The purposes.
const (
	// KeySigns is for keys that sign user and app tokens. The newest signs; older ones verify.
	KeySigns KeyPurpose = "sign"
	// KeySeals is for the one key that encrypts the numeric keys in cursors and IDs. It stays
	// when the signing keys are rotated, so that open pages and pending requests keep theirs.
	KeySeals KeyPurpose = "seal"
)

// TokenKey is a secret that the nodes of a service share.
type TokenKey struct {
	ID        string `gorm:"primaryKey"`
	Secret    []byte
	CreatedAt Time `gorm:"autoCreateTime:false"`
	Purpose   KeyPurpose
	// RetiresAt is when tokens signed by the key end; nil: when the key is retired.
	RetiresAt *Time
}

// Actor is who did something by hand, for the audit.
type Actor struct {
	// Name is an operator's name, or what stands for a command.
	Name string
	// Address is where the request came from; empty for a command.
	Address string
}
