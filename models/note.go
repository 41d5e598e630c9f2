package models

// UserNote is what an operator has noted about a user, for other operators.
type UserNote struct {
	ID        int64 `gorm:"primaryKey"`
	UserID    int64
	CreatedAt Time `gorm:"autoCreateTime:false"`
	// Author is the name of the operator, as in the audit.
	Author string
	Text   string
}
