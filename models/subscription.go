package models

// StatusSubscription is a user's subscription to another user's status.
type StatusSubscription struct {
	// UserID is the users.id of the subscriber, TargetID that of the other user.
	UserID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Position increases with each subscription of a user.
	Position     int64 `gorm:"primaryKey;autoIncrement:false"`
	TargetID     int64 `gorm:"primaryKey;autoIncrement:false"`
	SubscribedAt Time
}
