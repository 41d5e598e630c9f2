package models

// Presence is whether a user is online, offline or not logged in.
type Presence int8

// The presences. The numbers are the values of the column users.presence.
const (
	// PresenceUnlogined means that the user has never logged in, or that its last device logged
	// out.
	PresenceUnlogined Presence = 0
	// PresenceOffline means that the user is logged in, but all connections ended without a logout.
	PresenceOffline Presence = 1
	// PresenceOnline means that at least one device is connected.
	PresenceOnline Presence = 2
)

// String returns the value's name in the API.
func (p Presence) String() string {
	switch p {
	case PresenceOnline:
		return "ONLINE"
	case PresenceOffline:
		return "OFFLINE"
	}
	return "UNLOGINED"
}

// UserStatus is what other users see of a user's status.
type UserStatus struct {
	UserID       string
	Presence     Presence
	CustomStatus string
	// ChangedAt is nil if the user has never logged in.
	ChangedAt *Time
}

// ID returns the node's ID.
func (s *UserStatus) ID() string { return StatusNode.ID(s.UserID) }

// Platform is what a device runs on, as reported by the device.
type Platform string

// The platforms. An unknown or missing name is OTHER.
const (
	PlatformAndroid     Platform = "ANDROID"
	PlatformIOS         Platform = "IOS"
	PlatformHarmonyOS   Platform = "HARMONYOS"
	PlatformWeb         Platform = "WEB"
	PlatformDesktop     Platform = "DESKTOP"
	PlatformMiniProgram Platform = "MINI_PROGRAM"
	PlatformOther       Platform = "OTHER"
)

// PlatformOf returns the platform with that name, or OTHER if there is none.
func PlatformOf(name string) Platform {
	switch p := Platform(name); p {
	case PlatformAndroid, PlatformIOS, PlatformHarmonyOS, PlatformWeb, PlatformDesktop, PlatformMiniProgram:
		return p
	}
	return PlatformOther
}

// Device is one live connection of a user.
type Device struct {
	ID          string
	Platform    Platform
	ConnectedAt Time
}
