package models

// AppFigures are the statistics of an app in one bucket of time, with those of its figures that have no
// default. internal/figures has the columns of all.
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

// BucketCount is how often something happened in an app in the bucket of time that begins at
// BeginsAt.
type BucketCount struct {
	AppID    int64
	BeginsAt Time
	Count    int64
}
