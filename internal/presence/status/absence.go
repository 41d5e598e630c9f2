package status

import "rollcall/models"

// Moment is a point in the history of statuses. Version is that of the latest change. At is a time,
// for users whose versions the registry has forgotten. Later changes have a greater version and a
// later time. The zero Moment stands for none.
type Moment struct {
	Version int64
	At      models.Time
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
	if at, ok := a.Lost[userID]; ok && at.Version >= a.Since.Version {
		return at
	}
	return a.Since
}
