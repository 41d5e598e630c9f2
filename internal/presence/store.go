package presence

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// store decides who is online. There are two: memory, for a service of one node,
// and shared, for one whose nodes know of each other through Redis. What the hub
// does for those who watch is the same with both.
type store interface {
	// start makes the statuses those of who is connected now.
	start(ctx context.Context) error
	// close counts this node's devices as gone and takes no more.
	close(ctx context.Context)
	// unwritten answers how many statuses the database does not have yet.
	unwritten() int

	// See Hub's methods of these names.
	//
	// connect is Connect, and Admit where acc has nothing but its ID.
	connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
		who func(context.Context) (status.Account, error)) (*Device, error)
	gone(d *Device)
	logout(ctx context.Context, acc status.Account, own *Device, all bool) error
	setStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error)
	devices(ctx context.Context, userID int64) ([]models.Device, error)
	onlineCount(ctx context.Context, appID int64) (int, error)

	// cut ends devices from outside, those with these IDs, nil: all, turns the account
	// to the presence after the last one, and answers how many there were. Those that
	// are arriving go with the rest.
	cut(ctx context.Context, acc status.Account, deviceIDs []string, to models.Presence, reason status.Reason) (int, error)
	// status answers the account's status now, and statuses those of several.
	status(ctx context.Context, acc status.Account) (models.UserStatus, error)
	statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error)
	// lastThere says whether the account has a device and, where other nodes know
	// more of it than this one's lingerers, when it was last there.
	lastThere(ctx context.Context, tx *gorm.DB, userID int64) (there bool, at models.Time, err error)

	// follow and unfollow say that there is a watch more, or less, of a topic.
	follow(topic int64)
	unfollow(topic int64)
	// settle waits until the changes of all topics followed before are heard of.
	settle(ctx context.Context) error
	// catchUpAll waits until this node has heard of all changes so far.
	catchUpAll(ctx context.Context) error
	// present returns events of the accounts' statuses now, in their order, for watchers that have
	// joined. A change that these include is already published, if it will be at all.
	present(ctx context.Context, accs []status.Account) ([]*fanout.Event, error)
	// missed returns what the watcher of watches that join now, all of one locked queue, must
	// receive first because of an absence before. catchUp, called afterwards, delivers what could
	// not be known then.
	missed(watches []*fanout.Watch, a *absence, lost map[int64]moment) []*fanout.Event
	catchUp(ctx context.Context, w *fanout.Watcher, a *absence) error
}
