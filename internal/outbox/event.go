package outbox

import (
	"slices"

	"rollcall/models"
)

// Type is what has happened.
type Type string

// The types of events.
const (
	UserRegistered    Type = "user.registered"
	UserUpdated       Type = "user.updated"
	UserBanned        Type = "user.banned"
	UserUnbanned      Type = "user.unbanned"
	UserDeactivated   Type = "user.deactivated"
	UserReactivated   Type = "user.reactivated"
	UserDeleted       Type = "user.deleted"
	UserTokensExpired Type = "user.tokens_expired"

	FriendAdded         Type = "friend.added"
	FriendRemoved       Type = "friend.removed"
	FriendRemarkChanged Type = "friend.remark_changed"

	FriendRequestReceived  Type = "friend_request.received"
	FriendRequestAccepted  Type = "friend_request.accepted"
	FriendRequestDeclined  Type = "friend_request.declined"
	FriendRequestCancelled Type = "friend_request.cancelled"

	BlockAdded       Type = "block.added"
	BlockRemoved     Type = "block.removed"
	WhitelistChanged Type = "whitelist.changed"

	SubscriptionsChanged Type = "subscriptions.changed"

	AppUpdated       Type = "app.updated"
	AppSecretRotated Type = "app.secret_rotated"

	// PresenceChanged has changes of many users; see Presence. Endpoints that choose no types do not
	// receive it.
	PresenceChanged Type = "presence.changed"
)

// EndpointTest is the type of the event that tests one endpoint. Endpoints cannot choose it.
const EndpointTest Type = "endpoint.test"

// Types returns the types that endpoints can choose.
func Types() []Type {
	return []Type{
		UserRegistered, UserUpdated, UserBanned, UserUnbanned, UserDeactivated, UserReactivated, UserDeleted, UserTokensExpired,
		FriendAdded, FriendRemoved, FriendRemarkChanged,
		FriendRequestReceived, FriendRequestAccepted, FriendRequestDeclined, FriendRequestCancelled,
		BlockAdded, BlockRemoved, WhitelistChanged, SubscriptionsChanged, AppUpdated, AppSecretRotated, PresenceChanged,
	}
}

// IsType reports whether endpoints can choose the type.
func IsType(t Type) bool { return slices.Contains(Types(), t) }

// Event is a change of a user, of its relations or of its app.
type Event struct {
	Type Type
	// Subject is the external ID of the user, or "" if the event is about the app. At is when the change
	// was made.
	Subject string
	At      models.Time
	// Data is what a receiver learns about it, besides the user's ID and version.
	Data Data
	// Personal has the values that are erased with the user.
	Personal Personal
}

// Data is the object `data` of an event. Fields that are not of the type are absent.
type Data struct {
	User User `json:"user,omitzero"`
	// Ban is in user.banned.
	Ban *Ban `json:"ban,omitempty"`
	// TokensValidFrom is in user.tokens_expired: tokens issued before it have ended.
	TokensValidFrom string `json:"tokensValidFrom,omitempty"`
	// Other is the other user of a relation.
	Other *Other `json:"other,omitempty"`
	// Request is in the events of friend requests.
	Request *Request `json:"request,omitempty"`
	// Whitelist is in whitelist.changed.
	Whitelist *Whitelist `json:"whitelist,omitempty"`
	// Subscriptions is in subscriptions.changed.
	Subscriptions *Subscriptions `json:"subscriptions,omitempty"`
	// App is in the events of the app, which have no User.
	App *App `json:"app,omitempty"`
}

// User is the user that an event is about.
type User struct {
	ID string `json:"id"`
	// Version increases with each event of the user, in milliseconds since 1970.
	Version int64 `json:"version"`
	// State is in the events of accounts.
	State models.UserState `json:"state,omitempty"`
	// Name and AvatarURL are in user.registered and user.updated, until they are erased.
	Name      string `json:"name,omitempty"`
	AvatarURL string `json:"avatarUrl,omitempty"`
}

// Ban is the ban of a user.
type Ban struct {
	// Until is when it ends, or nil if it lasts until it is lifted. There is no event at that time.
	Until *string `json:"until"`
	// Reason is absent if there is none, and after it is erased.
	Reason string `json:"reason,omitempty"`
}

// Other is the other user of a relation.
type Other struct {
	ID string `json:"id"`
}

// Request is a friend request.
type Request struct {
	ID     string `json:"id"`
	FromID string `json:"fromId"`
	ToID   string `json:"toId"`
}

// Whitelist is a change of a whitelist: exactly one of the fields is set.
type Whitelist struct {
	Enabled *bool    `json:"enabled,omitempty"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Subscriptions is a change of the users whose statuses the user has subscribed to.
type Subscriptions struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// App is a change of the app: exactly one of the fields besides Version is set.
type App struct {
	// Version increases with each event of the app.
	Version int64 `json:"version"`
	// Settings are the names of the settings that were changed, in app.updated.
	Settings []string `json:"settings,omitempty"`
	// Secret is in app.secret_rotated.
	Secret *Secret `json:"secret,omitempty"`
}

// Secret is the rotation of an app's secret.
type Secret struct {
	// PreviousEndsAt is until when the previous secret is valid, or nil if it has ended.
	PreviousEndsAt *string `json:"previousEndsAt"`
}

// Personal are the values of an event that are erased with its user.
type Personal struct {
	Name      string `json:"name,omitempty"`
	AvatarURL string `json:"avatarUrl,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// With returns the data with the personal values.
func (d Data) With(p Personal) Data {
	d.User.Name, d.User.AvatarURL = p.Name, p.AvatarURL
	if d.Ban != nil && p.Reason != "" {
		ban := *d.Ban
		ban.Reason = p.Reason
		d.Ban = &ban
	}
	return d
}
