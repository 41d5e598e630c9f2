package presence

import (
	"context"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// store is the registry that decides which users are online. There are two: memory, for a service
// of one node, and shared, for a service whose nodes share a Redis. The hub serves watchers in the
// same way with both.
type store interface {
	// start makes the statuses fit the devices that are connected now.
	start(ctx context.Context) error
	// close counts this node's devices as gone and refuses new ones.
	close(ctx context.Context)
	// unwritten returns how many statuses the database does not have yet.
	unwritten() int

	// See Hub's methods of these names.
	//
	// connect is Connect, or Admit if acc has only its ID.
	connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
		who func(context.Context) (status.Account, error)) (*status.Device, error)
	logout(ctx context.Context, acc status.Account, own *status.Device, all bool) error
	setStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error)
	devices(ctx context.Context, userID int64) ([]models.Device, error)
	onlineCount(ctx context.Context, appID int64) (int, error)

	// cut ends the devices with these IDs, or all if that is nil, those that are arriving included,
	// and returns how many there were. With its last device the account gets the presence to.
	cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, reason status.Reason) (int, error)
	// status returns the account's present status, and statuses those of several.
	status(ctx context.Context, acc status.Account) (models.UserStatus, error)
	statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error)
	// lastConnected is LastConnected.
	lastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error)

	// follow and unfollow count the watches of a key.
	follow(topic int64)
	unfollow(topic int64)
	// settle waits until this node receives the changes of all keys that are followed.
	settle(ctx context.Context) error
	// catchUpAll waits until this node has received all changes so far.
	catchUpAll(ctx context.Context) error
	// moment returns how far the user's changes have been published to its watches. The user's queue
	// is locked.
	moment(userID int64) status.Moment
	// present returns events of the accounts' statuses now, in their order, for watchers that have
	// joined. A change that these include is already published, if it will be at all.
	present(ctx context.Context, accs []status.Account) ([]*fanout.Event, error)
	// missed returns what the watcher of watches that join now, all of one locked queue, must
	// receive first because of an absence before. catchUp, called afterwards, delivers what could
	// not be known then.
	missed(watches []*fanout.Watch, a *status.Absence) []*fanout.Event
	catchUp(ctx context.Context, w *fanout.Watcher, a *status.Absence) error
}
