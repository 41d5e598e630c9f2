package models

// UserNote is what an operator has noted about a user, for other operators.
type UserNote struct {
	ID        int64 `gorm:"primaryKey"`
	UserID    int64
	CreatedAt Time `gorm:"autoCreateTime:false"`
	// Author is the name of the operator, as in the audit. AuthorID is its operators.id, or 0 for notes
	// that were written before it was stored.
	Author   string
	AuthorID int64
	Text     string
}

// By reports whether the operator with that operators.id has written the note. A later operator of the
// same name has not.
func (n *UserNote) By(operatorID int64) bool { return n.AuthorID != 0 && n.AuthorID == operatorID }
