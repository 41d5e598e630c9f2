package models

// Role determines what an operator may do in the console.
type Role string

// The roles: an admin may do everything, a viewer may change nothing.
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
	// HasSecondFactor reports whether a login needs more than the password.
	HasSecondFactor bool
}

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

// AuditEntry records one action. Entries are not changed after they are added, except that an entry
// for failed logins counts those that follow it. They are deleted after ROLLCALL_AUDIT_RETENTION.
type AuditEntry struct {
	ID int64 `gorm:"primaryKey"`
	// AppID is nil if the action concerns no app, such as a login.
	AppID *int64
	At    Time
	// Actor is the operator's name.
	Actor  string
	Action string
	// Target is the external ID or the name of what the action changed.
	Target string
	// Detail never contains a secret, a token, or a user's name or avatar.
	Detail  string
	Address string
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
	// Name is an operator's name, or the name of a command.
	Name string
	// Address is where the request came from, or "" for a command.
	Address string
}
