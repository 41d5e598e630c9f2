package models

// Presence says whether a user is there.
type Presence int8

// The presences; the numbers are what the column users.presence holds.
const (
	// PresenceUnlogined: never logged in, or the last device logged out.
	PresenceUnlogined Presence = 0
	// PresenceOffline: logged in, all connections ended without a logout.
	PresenceOffline Presence = 1
	// PresenceOnline: at least one device is connected.
	PresenceOnline Presence = 2
)

// String is the value's name in the API.
func (p Presence) String() string {
	switch p {
	case PresenceOnline:
		return "ONLINE"
	case PresenceOffline:
		return "OFFLINE"
	}
	return "UNLOGINED"
}

// UserStatus is what others see of a user's presence.
type UserStatus struct {
	UserID       string
	Presence     Presence
	CustomStatus string
	// ChangedAt is nil for a user who never logged in.
	ChangedAt *Time
}

// Platform is what a device runs on, as it says itself.
type Platform string

// The platforms. An unknown or missing name counts as OTHER.
const (
	PlatformAndroid     Platform = "ANDROID"
	PlatformIOS         Platform = "IOS"
	PlatformHarmonyOS   Platform = "HARMONYOS"
	PlatformWeb         Platform = "WEB"
	PlatformDesktop     Platform = "DESKTOP"
	PlatformMiniProgram Platform = "MINI_PROGRAM"
	PlatformOther       Platform = "OTHER"
)

// PlatformOf reads a platform's name; whatever is none of them is OTHER.
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
