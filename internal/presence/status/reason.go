package status

import "rollcall/models"

// Link is the transport's side of a device.
type Link interface {
	// Cut ends the connection for that cause. It must not block. It may be called by any goroutine,
	// more than once, and before Connect has returned.
	Cut(cause Cause)
	// Client returns what is known of the client at the other end. It must not block. It may be
	// called by any goroutine.
	Client() Client
}

// Client is the program at the other end of a link. It is personal data: it is kept in the memory of
// the device's node while the link is open, and is not logged.
type Client struct {
	Address string
	// UserAgent is its User-Agent header, or "" if it sent none.
	UserAgent string
	// HeardAt is when something was last received from the client. It is 0 for a link over which
	// clients send nothing.
	HeardAt models.Time
}

// Cause is why a device's link must end.
type Cause struct {
	Reason Reason
	// BannedUntil is when the ban ends. It is nil for a ban without an end, and for other reasons.
	BannedUntil *models.Time
}

// Reason is why a device's link must end.
type Reason int8

// The reasons.
const (
	// ReasonLoggedOut: another device, or a request, logged the user out.
	ReasonLoggedOut Reason = iota + 1
	// ReasonBanned: the user was banned.
	ReasonBanned
	// ReasonDeactivated: the user was deactivated.
	ReasonDeactivated
	// ReasonDeleted: the user was deleted.
	ReasonDeleted
	// ReasonDisconnected: the App Server or an operator disconnected the device.
	ReasonDisconnected
	// ReasonDeviceLimit: a newer device connected, and the user had as many as it may have.
	ReasonDeviceLimit
	// ReasonAppDisabled: the app was disabled.
	ReasonAppDisabled
)

// String returns the reason in a few words, for logs.
func (r Reason) String() string {
	switch r {
	case ReasonLoggedOut:
		return "logged out"
	case ReasonBanned:
		return "banned"
	case ReasonDeactivated:
		return "deactivated"
	case ReasonDeleted:
		return "deleted"
	case ReasonDisconnected:
		return "disconnected"
	case ReasonDeviceLimit:
		return "device limit"
	case ReasonAppDisabled:
		return "app disabled"
	}
	return "unknown"
}

// IsRevocation reports whether r means that the user may no longer be connected.
func (r Reason) IsRevocation() bool {
	return r == ReasonBanned || r == ReasonDeactivated || r == ReasonDeleted || r == ReasonAppDisabled
}

// Leaves returns the presence of a user whose access was revoked for that reason.
func (r Reason) Leaves() models.Presence {
	if r == ReasonBanned || r == ReasonAppDisabled {
		return models.PresenceOffline
	}
	return models.PresenceUnlogined
}

// RevocationOf returns why the user with that row, nil if it is deleted, may not be connected. revoked
// reports whether that is so.
func RevocationOf(u *models.User, now models.Time) (cause Cause, revoked bool) {
	switch {
	case u == nil:
		return Cause{Reason: ReasonDeleted}, true
	case u.DeactivatedAt != nil:
		return Cause{Reason: ReasonDeactivated}, true
	case u.State(now) == models.UserBanned:
		return Cause{ReasonBanned, u.BanEnd()}, true
	}
	return Cause{}, false
}
