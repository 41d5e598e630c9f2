package models

// UserState is the state of an account. It depends on the time, so it is computed by User.State and
// never stored.
type UserState string

// The states of an account.
const (
	UserActive      UserState = "ACTIVE"
	UserBanned      UserState = "BANNED"
	UserDeactivated UserState = "DEACTIVATED"
)

// User is one registered user of an app.
type User struct {
	// ID is a key as userkey makes it. Those of earlier releases are consecutive numbers.
	ID    int64 `gorm:"primaryKey"`
	AppID int64
	// ExternalID is the ID that the App Server chose: the `id` of the API.
	ExternalID string
	Name       string
	// SearchName is the name, with the ID, in the form that searches compare; see the function SearchName.
	SearchName string
	AvatarURL  *string
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	UpdatedAt  Time `gorm:"autoUpdateTime:false"`
	// TokenGeneration is incremented when all tokens of the user end at once, as in a deactivation.
	// A token contains the one it was issued under.
	TokenGeneration int
	// TokensValidFrom is the earliest time of issue of a valid token.
	TokensValidFrom Time
	// DeviceGeneration is incremented when the user is signed out everywhere. Devices that connected
	// under an earlier one are closed.
	DeviceGeneration int
	// BannedUntil is when the ban ends, or BannedForever. It is nil if the user was never banned. For
	// an end that may be shown, see BanEnd.
	BannedUntil   *Time
	BannedAt      *Time
	BanReason     *string
	DeactivatedAt *Time
	// Presence is the presence that was last written, which a restart starts from. For the current
	// presence see internal/presence.
	Presence Presence
	// PresenceAt is when Presence last changed, or nil if the user has never logged in.
	PresenceAt *Time
	// The numbers of entries in the user's lists. They are updated in the transactions that change
	// the lists.
	FriendCount    int
	BlockCount     int
	WhitelistCount int
	// WhitelistEnabled means that only users on the whitelist may message the user.
	WhitelistEnabled bool
	// FriendRequestPolicy is the policy that the user has chosen, or nil if the app's applies. For
	// the one that applies, see PolicyIn.
	FriendRequestPolicy *FriendRequestPolicy
}

// PolicyIn returns the policy that applies to friend requests to the user in an app with these
// settings: its own, or the app's if it has chosen none.
func (u *User) PolicyIn(settings *AppSettings) FriendRequestPolicy {
	if u.FriendRequestPolicy != nil {
		return *u.FriendRequestPolicy
	}
	return settings.FriendRequestPolicy
}

// ProfileColumns are the columns of a profile and a status. In a user read with only these columns,
// just the IDs, app, name, avatar, Presence and PresenceAt may be used.
var ProfileColumns = []string{"id", "app_id", "external_id", "name", "avatar_url", "presence", "presence_at"}

// State returns the account's state at the time now.
func (u *User) State(now Time) UserState {
	switch {
	case u.DeactivatedAt != nil:
		return UserDeactivated
	case u.BannedUntil != nil && *u.BannedUntil > now:
		return UserBanned
	}
	return UserActive
}

// IsEntity marks users as an entity of a federated graph, for the code that gqlgen generates.
func (*User) IsEntity() {}

// BannedForever is the BannedUntil of a ban that lasts until it is lifted: the last millisecond of
// the year 9999. It is later than every other end, so such bans are first in the order of ends.
const BannedForever Time = 253_402_300_799_999

// BanEnd returns when the user's ban ends, or nil if it lasts until it is lifted.
func (u *User) BanEnd() *Time {
	if u.BannedUntil != nil && *u.BannedUntil == BannedForever {
		return nil
	}
	return u.BannedUntil
}
