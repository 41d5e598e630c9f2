package models

// Friendship is one direction of a friendship; the other direction is another
// row. Rows of one owner lie together, newest last.
type Friendship struct {
	// UserID is the owner's users.id, FriendID the friend's.
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	FriendID  int64 `gorm:"primaryKey;autoIncrement:false"`
	// Remark is what the owner calls the friend; nil: nothing.
	Remark *string
}

// FriendRequest asks somebody to become a friend. There is at most one from one
// user to another, and none once it is answered.
type FriendRequest struct {
	ID        int64 `gorm:"primaryKey"`
	FromID    int64
	ToID      int64
	Message   *string
	CreatedAt Time `gorm:"autoCreateTime:false"`
	// ExpiresAt: from then on it is as if it were not there.
	ExpiresAt Time
	// AnnouncedAt is when the recipient was last notified of it.
	AnnouncedAt Time
}

// FriendRequestCount counts the friend requests that a user has sent in its day.
type FriendRequestCount struct {
	UserID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Since is when the day began, with the first of them.
	Since Time
	Sent  int
}

// Block is an entry of a user's blocklist.
type Block struct {
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	BlockedID int64 `gorm:"primaryKey;autoIncrement:false"`
}

// WhitelistEntry is an entry of a user's whitelist: one who may message the user
// while the whitelist is on.
type WhitelistEntry struct {
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	AllowedID int64 `gorm:"primaryKey;autoIncrement:false"`
}
