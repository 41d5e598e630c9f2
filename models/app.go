package models

// Environment is what an app is for. It never changes after the app is created.
type Environment string

// The environments. A DEVELOPMENT app has at most DevelopmentUserLimit users, which operators may
// delete. The users of a PRODUCTION app can only be deactivated.
const (
	EnvironmentDevelopment Environment = "DEVELOPMENT"
	EnvironmentProduction  Environment = "PRODUCTION"
)

// Edition is the edition that the app's owner has booked.
type Edition string

// The editions, lowest first. STANDARD limits the users of a PRODUCTION app and does not have the
// status switches. The other editions have the switches and no limit.
const (
	EditionStandard Edition = "STANDARD"
	EditionFlagship Edition = "FLAGSHIP"
	EditionPremium  Edition = "PREMIUM"
)

// DevelopmentUserLimit is the maximum number of registered users of a DEVELOPMENT app, whatever its
// edition, as in RongCloud's development environment.
const DevelopmentUserLimit = 100

// AppSettings are the switches and limits of an app that its App Server can read.
type AppSettings struct {
	StatusQueryEnabled        bool `json:"statusQueryEnabled"`
	FriendStatusNotifyEnabled bool `json:"friendStatusNotifyEnabled"`
	OnlyFriendsCanMessage     bool `json:"onlyFriendsCanMessage"`
	ProfileEditEnabled        bool `json:"profileEditEnabled"`
	// EventFeedEnabled records changes for the feed that the App Server reads.
	EventFeedEnabled bool `json:"eventFeedEnabled"`
	// PresenceFeedEnabled records changes of statuses for the feed too, if EventFeedEnabled is set.
	PresenceFeedEnabled bool `json:"presenceFeedEnabled"`
	// FriendRequestPolicy is that of users that have not chosen their own.
	FriendRequestPolicy     FriendRequestPolicy `json:"friendRequestPolicy"`
	FriendLimit             int                 `json:"friendLimit" validate:"min=0,max=100000"`
	BlocklistLimit          int                 `json:"blocklistLimit" validate:"min=0,max=100000"`
	WhitelistLimit          int                 `json:"whitelistLimit" validate:"min=0,max=100000"`
	StatusSubscriptionLimit int                 `json:"statusSubscriptionLimit" validate:"min=0,max=10000"`
	DeviceLimit             int                 `json:"deviceLimit" validate:"min=1,max=1000"`
	FriendRequestDailyLimit int                 `json:"friendRequestDailyLimit" validate:"min=0,max=100000"`
}

// DefaultAppSettings returns the settings of a new app: every switch is off, and friend requests
// wait for approval.
func DefaultAppSettings() AppSettings {
	return AppSettings{
		FriendRequestPolicy: PolicyApproval,
		FriendLimit:         1000, BlocklistLimit: 500, WhitelistLimit: 3000, StatusSubscriptionLimit: 200,
		DeviceLimit: 20, FriendRequestDailyLimit: 200,
	}
}

// NoSecret is an App.SecretGeneration that no secret has. A read returns it if it finds no app, or a
// disabled one; SQL text contains it as -1.
const NoSecret = -1

// App is one tenant: a customer's application in one environment. Every other row belongs to one
// app, and nothing of one app is visible from another.
type App struct {
	ID          int64 `gorm:"primaryKey"`
	Key         string
	Name        string
	Environment Environment
	Edition     Edition
	// SecretHash is the SHA-256 of the secret. The secret is 256 random bits, so a slow password
	// hash would add nothing.
	SecretHash []byte
	// SecretGeneration is incremented by each rotation. A token contains the one of the secret that
	// it was issued under; see AcceptsSecret.
	SecretGeneration int
	// PreviousSecretHash is that of the secret before the last rotation, which is valid until
	// PreviousSecretEndsAt. They are nil and 0 if the rotation ended it at once.
	PreviousSecretHash   []byte
	PreviousSecretEndsAt Time
	// ConnectionGeneration is incremented each time an operator closes all connections of the app's
	// App Servers. Connections opened under an earlier one must be closed.
	ConnectionGeneration int
	// DisabledAt is when the app was disabled, or 0 if it is not; see Disabled.
	DisabledAt Time
	// DeletingAt is when the deletion of the app began, or 0; see Deleting.
	DeletingAt Time
	// UserLimit limits the registered users of a PRODUCTION app in edition STANDARD. Other apps
	// keep it but ignore it. See RegisteredUserLimit.
	UserLimit int
	// Counted is the part of the user counts that is stored in this row: all of them in an app with
	// a limit. See internal/headcount for the total.
	Counted   UserCounts  `gorm:"embedded"`
	Settings  AppSettings `gorm:"embedded"`
	CreatedAt Time        `gorm:"autoCreateTime:false"`
	// BanPresets are what the console offers for bans, one a line; see apps.BanPresets.
	BanPresets string
}

// Disabled reports whether all tokens of the app, and its secret, are refused.
func (a *App) Disabled() bool { return a.DisabledAt != 0 }

// Deleting reports whether the app is being deleted. It is then disabled, and nothing of it can be
// changed.
func (a *App) Deleting() bool { return a.DeletingAt != 0 }

// AcceptsSecret reports whether the secret of that generation, and the tokens issued under it, are
// valid: the present one, and the one before until its overlap ends.
func (a *App) AcceptsSecret(generation int, now Time) bool {
	return generation == a.SecretGeneration || generation == a.SecretGeneration-1 && now < a.PreviousSecretEndsAt
}

// UserCounts are the numbers of an app's users.
type UserCounts struct {
	// Registered is compared with the limit. It excludes deactivated users.
	Registered  int `gorm:"column:registered_user_count"`
	Deactivated int `gorm:"column:deactivated_user_count"`
}

// UserCountPart is a part of the counts of an app without a limit; see internal/headcount.
type UserCountPart struct {
	AppID       int64 `gorm:"primaryKey"`
	Part        int   `gorm:"primaryKey;autoIncrement:false"`
	Registered  int
	Deactivated int
}

// NodeID returns the node's ID.
func (a *App) NodeID() string { return AppNode.ID(a.Key) }

// RegisteredUserLimit returns the limit that applies, or nil if there is none.
func (a *App) RegisteredUserLimit() *int {
	switch {
	case a.Environment == EnvironmentDevelopment:
		limit := DevelopmentUserLimit
		return &limit
	case a.Edition == EditionStandard:
		limit := a.UserLimit
		return &limit
	}
	return nil
}
