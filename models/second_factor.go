package models

// LoginMethod is what an operator has proved its identity with.
type LoginMethod string

// The methods.
const (
	MethodPassword     LoginMethod = "password"
	MethodCode         LoginMethod = "password_and_code"
	MethodRecoveryCode LoginMethod = "password_and_recovery_code"
	// MethodPasskey is a passkey alone, MethodPasswordPasskey one after the password.
	MethodPasskey         LoginMethod = "passkey"
	MethodPasswordPasskey LoginMethod = "password_and_passkey"
	// MethodInvitation is for the session that begins when an invitation is accepted.
	MethodInvitation LoginMethod = "invitation"
	// MethodSSO is a login at an OpenID Provider.
	MethodSSO LoginMethod = "sso"
)

// OperatorTOTP is the secret that an operator shares with its authenticator app (RFC 6238). An
// operator has at most one that is confirmed, and one that is not.
type OperatorTOTP struct {
	ID         int64 `gorm:"primaryKey"`
	OperatorID int64
	// Secret is the secret as it is stored; see token.Ring.
	Secret    []byte
	CreatedAt Time `gorm:"autoCreateTime:false"`
	// ConfirmedAt is when the operator first entered a code of it, or 0 if it has not. Until then
	// no login needs it.
	ConfirmedAt Time
	// LastStep is the period of the last code that was used. Codes of it and of those before are
	// not accepted.
	LastStep int64
}

// TableName returns the name of the table.
func (OperatorTOTP) TableName() string { return "operator_totps" }

// OperatorRecoveryCode is a code that an operator can use once in place of one of its authenticator
// app.
type OperatorRecoveryCode struct {
	ID         int64 `gorm:"primaryKey"`
	OperatorID int64
	// CodeHash is the code's SHA-256. The code is not stored.
	CodeHash []byte
	// UsedAt is when the code was used, or 0 if it has not been.
	UsedAt Time
}

// OperatorPendingLogin is a login with the right password that still needs a second factor.
type OperatorPendingLogin struct {
	ID int64 `gorm:"primaryKey"`
	// TokenHash is the SHA-256 of the cookie's value, which is not stored.
	TokenHash  []byte
	OperatorID int64
	CreatedAt  Time `gorm:"autoCreateTime:false"`
}

// OperatorPasskey is a passkey (WebAuthn) that an operator logs in with.
type OperatorPasskey struct {
	ID         int64 `gorm:"primaryKey"`
	OperatorID int64
	// Name is what the operator calls it.
	Name string
	// CredentialHash is the SHA-256 of the credential's ID.
	CredentialHash []byte
	// Credential is the public key, with its ID, counter and flags, as JSON.
	Credential []byte
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	// LastUsedAt is 0 until the first use.
	LastUsedAt Time
}

// OperatorChallenge is a challenge that a passkey has signed.
type OperatorChallenge struct {
	ID            int64 `gorm:"primaryKey"`
	ChallengeHash []byte
	UsedAt        Time
}
