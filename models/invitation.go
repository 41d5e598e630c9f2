package models

// InvitationState is whether an invitation was used.
type InvitationState string

// The states. An invitation that has expired stays OPEN.
const (
	InvitationOpen     InvitationState = "OPEN"
	InvitationAccepted InvitationState = "ACCEPTED"
	InvitationRevoked  InvitationState = "REVOKED"
)

// OperatorInvitation lets the holder of a link become an operator.
type OperatorInvitation struct {
	ID int64 `gorm:"primaryKey"`
	// TokenHash is the SHA-256 of the link's token, which is not stored.
	TokenHash []byte
	// Name is the operator's name, and Grant what it will be allowed to do.
	Name  string
	Grant `gorm:"embedded"`
	// InvitedBy is the name of the owner that made the invitation.
	InvitedBy string
	State     InvitationState
	CreatedAt Time `gorm:"autoCreateTime:false"`
}
