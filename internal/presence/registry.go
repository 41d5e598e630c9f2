package presence

import (
	"context"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// registry decides which users are online. There are two: memory.Registry, for a service of one
// node, and cluster.Registry, for a service whose nodes share a Redis. The hub serves watchers in the
// same way with both.
type registry interface {
	circles.Registry

	// Start makes the statuses fit the devices that are connected now. Run, called afterwards, does
	// the work in the background until closing has ended and everything is written, or life ends.
	Start(ctx context.Context) error
	Run(closing, life context.Context)
	// Close counts this node's devices as gone and refuses new ones.
	Close(ctx context.Context)
	// Unwritten returns how many statuses the database does not have yet.
	Unwritten() int

	// Connect is Hub.Connect, or Hub.ConnectByID if acc has only its ID. The other methods up to
	// OnlineCount are the Hub's of these names.
	Connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
		read func(context.Context) (status.Account, error)) (*status.Device, error)
	Logout(ctx context.Context, acc status.Account, own *status.Device, all bool) (int, error)
	SetStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error)
	DevicesOf(ctx context.Context, userID int64) ([]models.Device, error)
	OnlineCount(ctx context.Context, appID int64) (int, error)

	// DevicesHere returns the user's devices of this node, the first to connect first.
	DevicesHere(userID int64) []*status.Device
	// AccountsHere returns the accounts with devices of this node in the apps that in selects.
	AccountsHere(in func(appID int64) bool) []status.Account
	// Cut ends the devices with these IDs, or all if that is nil, those that are arriving included,
	// and returns how many there were. With its last device the account gets the presence to.
	Cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, cause status.Cause) (int, error)
	// Status returns the account's present status, and Statuses those of several.
	Status(ctx context.Context, acc status.Account) (models.UserStatus, error)
	Statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error)
	// LastConnected is Hub.LastConnected.
	LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error)

	// Present returns events of the accounts' statuses now, in their order, for watchers that have
	// joined. A change that these include is already published, if it will be at all.
	Present(ctx context.Context, accs []status.Account) ([]*fanout.Event, error)
}
