package models

// JobKind is what a job does to users.
type JobKind string

// The kinds of jobs.
const (
	JobBan    JobKind = "ban"
	JobUnban  JobKind = "unban"
	JobDelete JobKind = "delete"
	// JobClear deletes all users of an app.
	JobClear JobKind = "clear"
)

// JobState is how far a job is.
type JobState string

// The states of jobs.
const (
	JobRunning JobState = "RUNNING"
	JobDone    JobState = "DONE"
	// JobFailed: an error ended it. What was done until then stays done.
	JobFailed JobState = "FAILED"
	// JobInterrupted: its node stopped. What was done until then stays done.
	JobInterrupted JobState = "INTERRUPTED"
)

// Job is work on an app's users that outlasts the request that started it.
type Job struct {
	ID    int64 `gorm:"primaryKey"`
	AppID int64
	Kind  JobKind
	// Actor is the operator's name.
	Actor string
	State JobState
	// Total is how many users it is about, as far as was known at its start; Handled
	// of them were looked at, and Changed of these changed.
	Total, Handled, Changed int
	StartedAt               Time
	// SeenAt is when its node last said that it is at it, or ended it.
	SeenAt Time
}
