package models

// Environment says what an app is for; it never changes after creation.
type Environment string

// The environments. A DEVELOPMENT app holds at most DevelopmentUserLimit users,
// which operators may delete; a PRODUCTION app's users can only be deactivated.
const (
	EnvironmentDevelopment Environment = "DEVELOPMENT"
	EnvironmentProduction  Environment = "PRODUCTION"
)

// Edition is what the app's owner has booked.
type Edition string

// The editions, lowest first. STANDARD limits the users of a PRODUCTION app and
// lacks the status switches; the others have neither limit.
const (
	EditionStandard Edition = "STANDARD"
	EditionFlagship Edition = "FLAGSHIP"
	EditionPremium  Edition = "PREMIUM"
)

// DevelopmentUserLimit is how many registered users a DEVELOPMENT app holds,
// whatever its edition (as RongCloud's development environment does).
const DevelopmentUserLimit = 100

// AppSettings are the switches and limits of one app that its App Server sees.
type AppSettings struct {
	StatusQueryEnabled        bool `json:"statusQueryEnabled"`
	FriendStatusNotifyEnabled bool `json:"friendStatusNotifyEnabled"`
	OnlyFriendsCanMessage     bool `json:"onlyFriendsCanMessage"`
	FriendLimit               int  `json:"friendLimit" validate:"min=0,max=100000"`
	BlocklistLimit            int  `json:"blocklistLimit" validate:"min=0,max=100000"`
	WhitelistLimit            int  `json:"whitelistLimit" validate:"min=0,max=100000"`
	StatusSubscriptionLimit   int  `json:"statusSubscriptionLimit" validate:"min=0,max=10000"`
	DeviceLimit               int  `json:"deviceLimit" validate:"min=1,max=1000"`
	FriendRequestDailyLimit   int  `json:"friendRequestDailyLimit" validate:"min=0,max=100000"`
}

// DefaultAppSettings are those of a new app: every switch off.
func DefaultAppSettings() AppSettings {
	return AppSettings{
		FriendLimit: 1000, BlocklistLimit: 500, WhitelistLimit: 3000, StatusSubscriptionLimit: 200,
		DeviceLimit: 20, FriendRequestDailyLimit: 200,
	}
}

// App is one tenant: a customer's application in one environment. Every other
// row belongs to one app, and nothing of one app is visible from another.
type App struct {
	ID          int64 `gorm:"primaryKey"`
	Key         string
	Name        string
	Environment Environment
	Edition     Edition
	// SecretHash is the SHA-256 of the secret; the secret itself is 256 random
	// bits, so a slow password hash would add nothing.
	SecretHash []byte
	// SecretGeneration grows with each rotation; tokens carry the one they were
	// issued under and die with it.
	SecretGeneration int
	// ConnectionGeneration grows each time that an operator closes all connections of the app's
	// App Servers; those that were opened under a former one end.
	ConnectionGeneration int
	// UserLimit bounds the registered users of a PRODUCTION app in edition
	// STANDARD; elsewhere it is kept but not in force. See RegisteredUserLimit.
	UserLimit int
	// Counted is the part of the counts of users that stands in this row: all of it in an
	// app with a limit. See internal/headcount for the whole.
	Counted   UserCounts  `gorm:"embedded"`
	Settings  AppSettings `gorm:"embedded"`
	CreatedAt Time        `gorm:"autoCreateTime:false"`
}

// UserCounts are how many users an app has.
type UserCounts struct {
	// Registered counts against the limit: all but the deactivated.
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

// RegisteredUserLimit is the limit in force: nil means none.
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
