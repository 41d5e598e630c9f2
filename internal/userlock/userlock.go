// Package userlock finds an app's users by external ID, serializes changes of the same users, and
// locks their rows.
//
// A change of several users has three steps. Finder.Keys finds their keys outside the transaction,
// where concurrent changes share the read. Locks.Acquire waits until no other change of the same
// users runs in this process; the caller holds the locks until the events of its change are
// published, so that events have the order of the commits. LockKeys locks the rows in the
// transaction, in the order of users.id, which keeps the data correct if several processes change
// the same users. Lock does the same for callers that have only external IDs, in the order of the
// IDs. A deadlock between the two orders is resolved by the database, and DB.Tx runs the transaction
// again.
package userlock

import (
	"rollcall/internal/fault"
	"rollcall/models"
)

// Users are users of one app by external ID.
type Users map[string]*models.User

// Active returns the user with that ID. Errors as CheckActive's.
func (users Users) Active(id string) (*models.User, error) {
	u := users[id]
	if err := CheckActive(id, u); err != nil {
		return nil, err
	}
	return u, nil
}

// CheckActive checks the user that was found for an external ID. Returns Unknown if u is nil, and
// Deactivated if it is deactivated.
func CheckActive(id string, u *models.User) error {
	switch {
	case u == nil:
		return Unknown(id)
	case u.DeactivatedAt != nil:
		return Deactivated(id)
	}
	return nil
}

// Unknown returns USER_NOT_FOUND with `userId`.
func Unknown(id string) *fault.Error {
	return fault.New(fault.UserNotFound, "there is no user %q", id).With("userId", id)
}

// Deactivated returns USER_DEACTIVATED with `userId`.
func Deactivated(id string) *fault.Error {
	return fault.New(fault.UserDeactivated, "the user %q is deactivated", id).With("userId", id)
}
