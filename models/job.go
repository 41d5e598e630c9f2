package models

// JobKind is what a job does to users.
type JobKind string

// The kinds of jobs.
const (
	JobBan   JobKind = "ban"
	JobUnban JobKind = "unban"
	// JobSignOut ends tokens and disconnects devices.
	JobSignOut      JobKind = "sign-out"
	JobDisconnect   JobKind = "disconnect"
	JobExpireTokens JobKind = "expire-tokens"
	JobDeactivate   JobKind = "deactivate"
	JobDelete       JobKind = "delete"
	// JobClear deletes all users of an app.
	JobClear JobKind = "clear"
)

// JobState is the progress of a job.
type JobState string

// The states of jobs.
const (
	JobRunning JobState = "RUNNING"
	JobDone    JobState = "DONE"
	// JobFailed means that an error ended the job. What was done before stays in effect.
	JobFailed JobState = "FAILED"
	// JobInterrupted means that the job's node stopped or that its app was disabled. What was done
	// before stays in effect.
	JobInterrupted JobState = "INTERRUPTED"
)

// Job is work on an app's users that continues after the request that started it.
type Job struct {
	ID    int64 `gorm:"primaryKey"`
	AppID int64
	Kind  JobKind
	// Actor is the operator's name.
	Actor string
	State JobState
	// Total is the number of users that the job concerns, as counted at its start. Handled is how
	// many of them have been processed, and Changed how many of those were changed.
	Total, Handled, Changed int
	StartedAt               Time
	// SeenAt is when the job's node last reported progress or the end of the job.
	SeenAt Time
}
