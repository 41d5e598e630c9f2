package models

// AppFigures are what happened in an app in one bucket of time.
type AppFigures struct {
	AppID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Span is how long the bucket is, in milliseconds.
	Span     int64 `gorm:"primaryKey;autoIncrement:false"`
	BeginsAt Time  `gorm:"primaryKey;autoIncrement:false"`
	// Registrations are the users who were registered in it.
	Registrations int
	// PeakOnline is the most users seen online at once.
	PeakOnline int
}
