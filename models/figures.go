package models

// AppFigures are the statistics of an app in one bucket of time.
type AppFigures struct {
	AppID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Span is the length of the bucket in milliseconds.
	Span     int64 `gorm:"primaryKey;autoIncrement:false"`
	BeginsAt Time  `gorm:"primaryKey;autoIncrement:false"`
	// Registrations is the number of users registered in it.
	Registrations int
	// PeakOnline is the maximum number of users seen online at once.
	PeakOnline int
}
