package status

import "rollcall/models"

// Moment is a point in the history of statuses: the version of the latest change and, for users whose
// versions the registry has forgotten, a time. Later changes have a greater one of each. The zero
// Moment stands for none.
type Moment struct {
	Version int64
	At      models.Time
}

// Absence is a time in which a watcher did not watch some users, and then watches them again.
type Absence struct {
	// Since is when it began, except for the users in Lost, which it left later.
	Since Moment
	Lost  map[int64]Moment // by users.id
	// Rows are those of the users that may have changed in it, by users.id.
	Rows map[int64]*models.User
	// Gaps are what the registry delivers later.
	Gaps []Gap
}

// Gap is the changes of a user that a watcher has not received: those with versions after Since and
// up to Until. An Until of 0 stands for the version from which the user's channel is subscribed.
type Gap struct {
	UserID       int64
	Since, Until int64
}

// Left returns when the watcher left the user.
func (a *Absence) Left(userID int64) Moment {
	if at, ok := a.Lost[userID]; ok && at.Version >= a.Since.Version {
		return at
	}
	return a.Since
}
