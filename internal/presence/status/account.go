// Package status defines the types that presence's registries, its writer to the database and its
// callers share: the Account of a user, the Record of its status, its Devices with their Links, and
// the Reason for which a link ends. It depends only on models and fault.
package status

import "rollcall/models"

// State is what the columns users.presence and users.presence_at hold.
type State struct {
	Presence models.Presence
	Since    models.Time // 0: the user has never logged in; NULL in the column
}

// Disconnected returns the state of a user without a device whose row holds s. ONLINE in a row means
// only that the user was connected when the row was written.
func (s State) Disconnected() State {
	if s.Presence == models.PresenceOnline {
		s.Presence = models.PresenceOffline
	}
	return s
}

// Account is the user that connects, logs out or is watched, as far as presence needs it. Make it
// with AccountOf.
type Account struct {
	ID         int64 // users.id
	AppID      int64
	ExternalID string
	// State is what the user's row held when it was read, at most a minute ago. It counts only while
	// the registry has nothing newer.
	State
	// DeviceGeneration is the user's when the row was read. A registry closes a device once that of the
	// row is higher.
	DeviceGeneration int
	// DeviceLimit is how many devices the account may have after the next one has connected. 0: any
	// number.
	DeviceLimit int
}

// AccountOf returns the account of a row that was read within the last minute.
func AccountOf(u *models.User) Account {
	return Account{ID: u.ID, AppID: u.AppID, ExternalID: u.ExternalID, State: StateOf(u), DeviceGeneration: u.DeviceGeneration}
}

// StateOf returns the state in a row.
func StateOf(u *models.User) State {
	s := State{Presence: u.Presence}
	if u.PresenceAt != nil {
		s.Since = *u.PresenceAt
	}
	return s
}

// Disconnected returns the account with its state as if it had no device.
func (a Account) Disconnected() Account {
	a.State = a.State.Disconnected()
	return a
}
