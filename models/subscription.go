package models

// StatusSubscription says that a user wants to hear of another's status.
type StatusSubscription struct {
	// UserID is the owner's users.id, TargetID the other's.
	UserID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Position grows with each subscription of the owner.
	Position     int64 `gorm:"primaryKey;autoIncrement:false"`
	TargetID     int64 `gorm:"primaryKey;autoIncrement:false"`
	SubscribedAt Time
}
