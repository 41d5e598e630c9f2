package models

// Friendship is one direction of a friendship; the other direction is another row. Rows of one
// owner are stored together, newest last.
type Friendship struct {
	// UserID is the users.id of the owner, FriendID that of the friend.
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	FriendID  int64 `gorm:"primaryKey;autoIncrement:false"`
	// Remark is the owner's name for the friend, or nil if there is none.
	Remark *string
}

// FriendRequest is a user's request to become another user's friend. There is at most one from one
// user to another. It is deleted once it is accepted, declined or cancelled. The row belongs to the
// recipient; the sender has a SentFriendRequest.
type FriendRequest struct {
	ID        int64 `gorm:"primaryKey"`
	FromID    int64
	ToID      int64
	Message   *string
	CreatedAt Time `gorm:"autoCreateTime:false"`
	// ExpiresAt is when the request expires. From then on it is treated as deleted.
	ExpiresAt Time
	// AnnouncedAt is when the recipient was last notified of it.
	AnnouncedAt Time
}

// SentFriendRequest is the sender's row of a FriendRequest, with the same values. Rows of one sender are
// stored together, newest last.
type SentFriendRequest struct {
	FromID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	ID        int64 `gorm:"primaryKey;autoIncrement:false"`
	ToID      int64
	Message   *string
	ExpiresAt Time
}

// FriendRequestPolicy is what a friend request to a user does.
type FriendRequestPolicy string

// The policies.
const (
	// PolicyAnyone means that a request makes the two users friends at once.
	PolicyAnyone FriendRequestPolicy = "ANYONE"
	// PolicyApproval means that a request waits until the recipient accepts it.
	PolicyApproval FriendRequestPolicy = "APPROVAL"
	// PolicyNobody means that requests are refused.
	PolicyNobody FriendRequestPolicy = "NOBODY"
)

// FriendRequestPolicies are the policies, the most open first.
var FriendRequestPolicies = []FriendRequestPolicy{PolicyAnyone, PolicyApproval, PolicyNobody}

// FriendRequestCount counts the friend requests that a user has sent in its current day.
type FriendRequestCount struct {
	UserID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Since is when the day began, which is when the first of them was sent.
	Since Time
	Sent  int
}

// Block is an entry of a user's blocklist.
type Block struct {
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	BlockedID int64 `gorm:"primaryKey;autoIncrement:false"`
}

// WhitelistEntry is an entry of a user's whitelist. Only users on it may message the user while the
// whitelist is on.
type WhitelistEntry struct {
	UserID    int64 `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt Time  `gorm:"primaryKey;autoCreateTime:false"`
	AllowedID int64 `gorm:"primaryKey;autoIncrement:false"`
}
