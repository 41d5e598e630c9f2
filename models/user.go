package models

import "strings"

// UserState is what an account may do now; it follows the clock, so it is
// computed (see User.State) and never stored.
type UserState string

// The states of an account.
const (
	UserActive      UserState = "ACTIVE"
	UserBanned      UserState = "BANNED"
	UserDeactivated UserState = "DEACTIVATED"
)

// User is one registered user of an app.
type User struct {
	ID    int64 `gorm:"primaryKey"`
	AppID int64
	// ExternalID is the ID that the App Server chose: the `id` of the API.
	ExternalID string
	Name       string
	// SearchName is Name as search compares it: see SearchForm.
	SearchName string
	AvatarURL  *string
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	UpdatedAt  Time `gorm:"autoUpdateTime:false"`
	// TokenGeneration grows when all tokens of the user end at once
	// (deactivation); a token carries the one it was issued under.
	TokenGeneration int
	// TokensValidFrom: a token issued before this moment is refused.
	TokensValidFrom Time
	// BannedUntil is nil when never banned; a moment that has passed means no ban.
	BannedUntil   *Time
	BannedAt      *Time
	BanReason     *string
	DeactivatedAt *Time
	// Presence is what a restart finds: ONLINE there means only that the user was
	// connected when last written; who is online now is internal/presence's to say.
	Presence Presence
	// PresenceAt is when Presence last changed; nil: never logged in.
	PresenceAt *Time
	// The counts of the user's lists, changed in the transactions that change them.
	FriendCount    int
	BlockCount     int
	WhitelistCount int
	// WhitelistEnabled: only who is on the whitelist may message the user.
	WhitelistEnabled bool
}

// ProfileColumns are the columns of which a profile is made, and a status: a user
// that has been read with these alone shows its IDs, app, name, avatar, Presence and
// PresenceAt, and must be asked for nothing else.
var ProfileColumns = []string{"id", "app_id", "external_id", "name", "avatar_url", "presence", "presence_at"}

// State is the account's state at the moment now.
func (u *User) State(now Time) UserState {
	switch {
	case u.DeactivatedAt != nil:
		return UserDeactivated
	case u.BannedUntil != nil && *u.BannedUntil > now:
		return UserBanned
	}
	return UserActive
}

// SearchForm is how a name and what is searched in it are compared: without
// regard to case, the same on every database.
func SearchForm(name string) string { return strings.ToLower(name) }
