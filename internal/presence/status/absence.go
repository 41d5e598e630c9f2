package status

import "rollcall/models"

// Moment is a point in the history of statuses. Later changes of a user have a greater version than
// Of returns, and a later time. The zero Moment stands for none.
type Moment struct {
	// Version is that of the latest change, unless Versions is set.
	Version int64
	// Versions are those of the latest changes in each bucket, of a registry whose buckets count for
	// themselves. Moments share them.
	Versions *Versions
	// At is a time, for users whose versions the registry has forgotten.
	At models.Time
}

// Versions has a version for each bucket.
type Versions [Buckets]int64

// Of returns the version of the latest change that the user can have had at the moment.
func (m Moment) Of(userID int64) int64 {
	if m.Versions != nil {
		return m.Versions[BucketOf(userID)]
	}
	return m.Version
}

// Absence is a period in which a watcher did not watch some users that it now watches again. It
// received none of their changes in that period.
type Absence struct {
	// Since is when the watcher stopped watching the users, except those in Lost.
	Since Moment
	// Lost has, by users.id, when the watcher stopped watching users that it watched for longer.
	Lost map[int64]Moment
	// Rows are the users that may have changed during the absence, by users.id.
	Rows map[int64]*models.User
	// Gaps are the changes that the registry delivers after the watches have begun.
	Gaps []Gap
}

// Gap stands for the changes of one user that a watcher has not received: those with versions after
// Since and up to Until. If Until is 0, they end at the version from which the user's channel is
// subscribed.
type Gap struct {
	UserID       int64
	Since, Until int64
}

// Left returns when the watcher stopped watching the user.
func (a *Absence) Left(userID int64) Moment {
	if at, ok := a.Lost[userID]; ok && at.Of(userID) >= a.Since.Of(userID) {
		return at
	}
	return a.Since
}
