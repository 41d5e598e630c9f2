// Package subscriptions keeps the list of users whose status a user has subscribed to: limit,
// eviction, expiry.
//
// A list belongs to its owner, and a subscription to a user names that user as its target. The list
// is in the table status_subscriptions. A change is published on the bus after its commit, and what
// follows the lists, such as the owner's open statusChanged operations, receives it before the
// caller does. Expiry deletes the list of an owner that has had no device for a while; see Start.
package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/once"
	"rollcall/internal/opaque"
	"rollcall/internal/outbox"
	"rollcall/internal/page"
	"rollcall/internal/redis"
	"rollcall/internal/turn"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Lists describes the users on the lists, for a package that follows them.
var Lists = database.Pairs{Table: "status_subscriptions", Owner: "user_id", Other: "target_id"}

// Presence is what this package needs to know about users' connections. presence.Hub implements it.
type Presence interface {
	// WatchedStatusesOf waits until this node receives the changes of all users that are watched on
	// it, and then returns these users' statuses in their order.
	WatchedStatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error)
	// LastConnected reports whether the user has a device at any node. If it has none, it returns
	// when the user last had one, or 0 if that is known no longer.
	LastConnected(ctx context.Context, userID int64) (connected bool, at models.Time, err error)
	// Networked reports whether the service may have other nodes. This node publishes
	// bus.LastDeviceGone only for changes that it makes.
	Networked() bool
}

// Options are the optional dependencies of a Service. The zero value suits tests.
type Options struct {
	// Clock returns the time of a change; nil means time.Now.
	Clock func() time.Time
	// Linger is how long subscriptions outlive the owner's last device; 0 means DefaultLinger.
	Linger time.Duration
	// Logger logs failures that are returned to no caller; nil means slog.Default.
	Logger *slog.Logger
	// Redis connects the nodes of a service; nil means that this is the only one.
	Redis *redis.Client
	// Secret encrypts the cursors of lists; see token.Keys.
	Secret opaque.Secret
}

// Service changes and reads the lists. All methods may be called by any goroutine.
type Service struct {
	db       *database.DB
	bus      *bus.Bus
	presence Presence
	clock    func() time.Time
	log      *slog.Logger
	outbox   *outbox.Outbox
	secret   opaque.Secret
	locks    locks
	linger   time.Duration
	inactive inactive
	// owners is the reading of the owners in the database, which nodes share if shared is set.
	owners *once.Work
	shared bool
	// expiry are the goroutines that Start begins, and stopExpiry ends them.
	expiry     sync.WaitGroup
	stopExpiry context.CancelFunc
}

// New returns a Service. It follows the departures of devices on b. Lists expire after Start.
func New(db *database.DB, b *bus.Bus, presence Presence, opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Linger == 0 {
		opts.Linger = DefaultLinger
	}
	s := &Service{
		db: db, bus: b, presence: presence, clock: opts.Clock, log: opts.Logger, secret: opts.Secret, linger: opts.Linger,
		locks: newLocks(), outbox: outbox.New(db), owners: once.New(opts.Redis, "subscription-owners"), shared: opts.Redis != nil,
	}
	s.inactive.init()
	b.OnLastDeviceGone(func(_ context.Context, ev bus.LastDeviceGone) { s.inactive.note(ev.UserID, ev.At) })
	b.OnNodeSwept(func(ctx context.Context, _ bus.NodeSwept) { s.nodeGone(ctx) })
	return s
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// locks give the events of subscriptions the order of the commits: the changes of one owner's list
// among themselves, and new subscriptions relative to the erasure of their owner or of a target. A
// caller that needs both acquires the owner's first. The row locks keep the data correct without
// them.
type locks struct {
	owners []*semaphore.Weighted // by users.id
	// users are locked exclusively by an erasure of users, and shared by subscriptions to them, so
	// that a thousand users that reconnect and subscribe to the same users do not queue up.
	users *userlock.Locks
}

func newLocks() locks { return locks{owners: turn.New(1024), users: userlock.NewLocks()} }

// owner waits until no other call in this process changes the owner's list. It returns turn.Take's
// errors.
func (l *locks) owner(ctx context.Context, ownerID int64) (release func(), err error) {
	return turn.Take(ctx, turn.Exclusive, l.owners[uint64(ownerID)%uint64(len(l.owners))])
}

// Subscribed is what Subscribe returns.
type Subscribed struct {
	// Statuses are those of the requested users, each once.
	Statuses []*models.UserStatus
	// EvictedIDs are the users that were removed because of the limit, the earliest subscribed
	// first.
	EvictedIDs []string
}

// Subscribe adds users to the owner's list and returns their statuses, which are not older than the
// first change that the owner receives. The last of ids becomes the newest subscription. A user that
// is already on the list moves; an ID given twice counts where it stands first. If the app's limit is
// exceeded, the earliest subscriptions are removed.
//
// It returns, without any change, SELF_REFERENCE, or USER_NOT_FOUND or USER_DEACTIVATED with
// `userId`.
func (s *Service) Subscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (*Subscribed, error) {
	subscribed, err := s.subscribe(ctx, app, owner, distinct(ids))
	return subscribed, fault.Wrap(err, "subscribing")
}

func (s *Service) subscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (*Subscribed, error) {
	release, err := s.locks.owner(ctx, owner.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	locked, err := s.locks.users.AcquireShared(ctx, app, append([]string{owner.ExternalID}, ids...))
	if err != nil {
		return nil, err
	}
	defer locked.Release()
	targets, err := s.targets(ctx, app, owner, ids)
	if err != nil {
		return nil, err
	}
	// Before the commit, so that expiry does not delete the new subscriptions.
	s.inactive.note(owner.ID, s.now())
	add := addition{app: app, owner: owner, targets: targets, outbox: s.outbox}
	err = s.db.Tx(ctx, add.write(s.now))
	if errors.Is(err, errListChanged) {
		add.lockAll = true
		err = s.db.Tx(ctx, add.write(s.now))
	}
	if err != nil {
		return nil, err
	}
	s.bus.PublishSubscriptionsChanged(ctx, bus.SubscriptionsChanged{
		UserID: owner.ID, Added: userlock.Keys(targets), Removed: userlock.Keys(add.evicted),
	})
	s.bus.PublishEventsRecorded(ctx, add.recorded)
	statuses, err := s.presence.WatchedStatusesOf(ctx, targets)
	if err != nil {
		return nil, err
	}
	out := &Subscribed{Statuses: make([]*models.UserStatus, len(targets)), EvictedIDs: externalIDs(add.evicted)}
	for i := range statuses {
		out.Statuses[i] = &statuses[i]
	}
	return out, nil
}

// targets returns the users to subscribe to, in the order of ids. It returns SELF_REFERENCE if the
// owner is one of them, or USER_NOT_FOUND or USER_DEACTIVATED with `userId`.
func (s *Service) targets(ctx context.Context, app *models.App, owner *models.User, ids []string) ([]*models.User, error) {
	if slices.Contains(ids, owner.ExternalID) {
		return nil, fault.New(fault.SelfReference, "a user cannot subscribe to itself: it receives its own changes anyway")
	}
	users, err := userlock.Find(s.db.Read(ctx), app, ids)
	if err != nil {
		return nil, err
	}
	targets := make([]*models.User, len(ids))
	for i, id := range ids {
		if targets[i], err = users.Active(id); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// record records a change of the owner's list in tx, which has locked the owner, for App Servers.
// change is called only if one receives it.
func record(tx *gorm.DB, to *outbox.Outbox, owner *models.User, at models.Time, change func() (outbox.Subscriptions, error)) (bool, error) {
	return to.Write(tx, owner.AppID, func() ([]outbox.Event, error) {
		c, err := change()
		if err != nil || len(c.Added)+len(c.Removed) == 0 {
			return nil, err
		}
		return []outbox.Event{{Type: outbox.SubscriptionsChanged, Subject: owner.ExternalID, At: at, Data: outbox.Data{Subscriptions: &c}}}, nil
	})
}

// externalIDs returns the external IDs of users.
func externalIDs(users []*models.User) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ExternalID
	}
	return ids
}

// errListChanged is returned by an addition if the list has changed between reading and locking it.
var errListChanged = errors.New("the subscriptions have changed concurrently")

// addition puts targets at the end of the owner's list. evicted are the users that the limit removes
// from its beginning, the earliest subscribed first.
type addition struct {
	app     *models.App
	owner   *models.User
	targets []*models.User
	// lockAll locks all targets, even those that are on the list.
	lockAll bool
	evicted []*models.User

	outbox *outbox.Outbox
	// recorded reports whether an endpoint of an App Server receives the change.
	recorded bool
}

// write returns the addition's transaction. It locks the owner and the targets that are new on the
// list, so that a concurrent erasure of a user either sees the subscription and deletes it, or is
// seen here. Targets that are on the list already need no lock, so that a thousand users that
// reconnect with the same subscriptions do not queue up. The transaction returns errListChanged if
// the list has changed concurrently and it must run again with lockAll.
func (a *addition) write(now func() models.Time) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		targetKeys := userlock.Keys(a.targets)
		var known []int64
		if !a.lockAll {
			err := tx.Model(&models.StatusSubscription{}).
				Where("user_id = ? AND target_id IN ?", a.owner.ID, targetKeys).Pluck("target_id", &known).Error
			if err != nil {
				return err
			}
		}
		locked, err := userlock.LockKeys(tx, append(without(targetKeys, known), a.owner.ID))
		if err != nil {
			return err
		}
		var rows []*models.StatusSubscription
		err = tx.Clauses(forUpdate).Where("user_id = ?", a.owner.ID).Order("position").Find(&rows).Error
		if err != nil {
			return err
		}
		if err := a.check(locked, known, rows); err != nil {
			return err
		}
		return a.replace(tx, rows, now())
	}
}

// check checks the owner and the targets after they were locked. locked are the users that still
// exist, known the targets that were not locked because they were on the list, and rows the list.
func (a *addition) check(locked userlock.Users, known []int64, rows []*models.StatusSubscription) error {
	listed := make(map[int64]bool, len(rows))
	for _, row := range rows {
		listed[row.TargetID] = true
	}
	for _, u := range append([]*models.User{a.owner}, a.targets...) {
		now := locked[u.ExternalID]
		switch {
		case now != nil && now.DeactivatedAt != nil:
			return userlock.Deactivated(u.ExternalID)
		case now == nil && !listed[u.ID] && !slices.Contains(known, u.ID):
			return userlock.Unknown(u.ExternalID)
		case now == nil && !listed[u.ID]:
			return errListChanged
		}
	}
	return nil
}

// replace writes the targets behind the rows of the list, which are in their order, and deletes the
// rows beyond the limit.
func (a *addition) replace(tx *gorm.DB, rows []*models.StatusSubscription, at models.Time) error {
	targetKeys := userlock.Keys(a.targets)
	var listed []int64
	for _, row := range rows {
		listed = append(listed, row.TargetID)
	}
	position := int64(0)
	if len(rows) > 0 {
		position = rows[len(rows)-1].Position
	}
	for _, key := range targetKeys {
		position++
		rows = slices.DeleteFunc(rows, func(row *models.StatusSubscription) bool { return row.TargetID == key })
		rows = append(rows, &models.StatusSubscription{UserID: a.owner.ID, Position: position, TargetID: key, SubscribedAt: at})
	}
	surplus := rows[:max(0, len(rows)-a.app.Settings.StatusSubscriptionLimit)]
	surplusKeys := make([]int64, len(surplus))
	for i, row := range surplus {
		surplusKeys[i] = row.TargetID
	}
	err := tx.Where("user_id = ? AND target_id IN ?", a.owner.ID, slices.Concat(targetKeys, surplusKeys)).
		Delete(&models.StatusSubscription{}).Error
	if err != nil {
		return err
	}
	// The rows of this call are the last.
	if written := rows[max(len(surplus), len(rows)-len(targetKeys)):]; len(written) > 0 {
		if err := tx.Create(written).Error; err != nil {
			return err
		}
	}
	if a.evicted, err = usersInOrder(tx, surplusKeys); err != nil {
		return err
	}
	a.recorded, err = record(tx, a.outbox, a.owner, at, func() (change outbox.Subscriptions, err error) {
		for _, u := range a.targets {
			if !slices.Contains(listed, u.ID) && !slices.Contains(surplusKeys, u.ID) {
				change.Added = append(change.Added, u.ExternalID)
			}
		}
		for _, u := range a.evicted {
			if slices.Contains(listed, u.ID) {
				change.Removed = append(change.Removed, u.ExternalID)
			}
		}
		return change, nil
	})
	return err
}

// usersInOrder returns the users with these keys, in this order.
func usersInOrder(tx *gorm.DB, keys []int64) ([]*models.User, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var rows []*models.User
	if err := tx.Where("id IN ?", keys).Find(&rows).Error; err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b *models.User) int { return slices.Index(keys, a.ID) - slices.Index(keys, b.ID) })
	return rows, nil
}

// Unsubscribe removes users from the owner's list and returns how many it removed. IDs of users that
// are not on the list are ignored.
func (s *Service) Unsubscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (int, error) {
	removed, err := s.unsubscribe(ctx, app, owner, ids)
	return removed, fault.Wrap(err, "unsubscribing")
}

func (s *Service) unsubscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (int, error) {
	release, err := s.locks.owner(ctx, owner.ID)
	if err != nil {
		return 0, err
	}
	defer release()
	targets, err := userlock.Find(s.db.Read(ctx), app, ids)
	if err != nil || len(targets) == 0 {
		return 0, err
	}
	keys := make([]int64, 0, len(targets))
	for _, u := range targets {
		keys = append(keys, u.ID)
	}
	return s.remove(ctx, owner.ID, func(tx *gorm.DB) *gorm.DB { return tx.Where("target_id IN ?", keys) })
}

// UnsubscribeAll removes all users from the owner's list and returns how many it removed.
func (s *Service) UnsubscribeAll(ctx context.Context, owner *models.User) (int, error) {
	removed, err := s.unsubscribeAll(ctx, owner)
	return removed, fault.Wrap(err, "unsubscribing")
}

func (s *Service) unsubscribeAll(ctx context.Context, owner *models.User) (int, error) {
	release, err := s.locks.owner(ctx, owner.ID)
	if err != nil {
		return 0, err
	}
	defer release()
	return s.remove(ctx, owner.ID, func(tx *gorm.DB) *gorm.DB { return tx })
}

// remove removes the users that the condition selects from the owner's list, and returns how many
// they were. If condition returns nil, it removes none. The caller holds the owner's lock.
func (s *Service) remove(ctx context.Context, ownerID int64, condition func(tx *gorm.DB) *gorm.DB) (int, error) {
	var removed []int64
	recorded := false
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		removed, recorded = nil, false
		owners, err := userlock.LockKeys(tx, []int64{ownerID})
		if err != nil {
			return err
		}
		selected := condition(tx)
		if selected == nil {
			return nil
		}
		err = selected.Model(&models.StatusSubscription{}).Where("user_id = ?", ownerID).Pluck("target_id", &removed).Error
		if err != nil || len(removed) == 0 {
			return err
		}
		if err := tx.Where("user_id = ? AND target_id IN ?", ownerID, removed).Delete(&models.StatusSubscription{}).Error; err != nil {
			return err
		}
		for _, owner := range owners {
			recorded, err = record(tx, s.outbox, owner, s.now(), func() (outbox.Subscriptions, error) {
				targets, err := usersInOrder(tx, removed)
				return outbox.Subscriptions{Removed: externalIDs(targets)}, err
			})
		}
		return err
	})
	if err != nil || len(removed) == 0 {
		return 0, err
	}
	s.bus.PublishSubscriptionsChanged(ctx, bus.SubscriptionsChanged{UserID: ownerID, Removed: removed})
	s.bus.PublishEventsRecorded(ctx, recorded)
	return len(removed), nil
}

// Hold prevents subscriptions to and by the app's users with these IDs, which are about to be
// erased, until release is called. It returns turn.Take's errors.
func (s *Service) Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error) {
	locked, err := s.locks.users.Acquire(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	return locked.Release, nil
}

// Count adds how many subscriptions of the users, and of others to them, Erase will delete.
func (s *Service) Count(tx *gorm.DB, users []int64, counts audit.Erasures) error {
	if err := counts.Add(tx, audit.ErasedSubscriptions, &models.StatusSubscription{}, "user_id", users); err != nil {
		return err
	}
	return counts.Add(tx, audit.ErasedMentions, &models.StatusSubscription{}, "target_id", users)
}

// Erase deletes the subscriptions of and to users that are deactivated or deleted in tx. The caller
// must call announce after tx has committed, which publishes the changes of the other users' lists.
// Until then it must prevent new subscriptions with Hold.
func (s *Service) Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error) {
	keys := userlock.Keys(gone)
	var rows []*models.StatusSubscription
	if err := tx.Clauses(forUpdate).Where("target_id IN ?", keys).Find(&rows).Error; err != nil {
		return nil, err
	}
	for _, column := range []string{"user_id", "target_id"} {
		if err := tx.Where(column+" IN ?", keys).Delete(&models.StatusSubscription{}).Error; err != nil {
			return nil, err
		}
	}
	return func() {
		for _, row := range rows {
			s.bus.PublishSubscriptionsChanged(context.Background(), bus.SubscriptionsChanged{
				UserID: row.UserID, Removed: []int64{row.TargetID},
			})
		}
	}, nil
}

// Subscription is an entry of the owner's list.
type Subscription struct {
	Owner, User  *models.User
	SubscribedAt models.Time
}

// ID returns the node's ID.
func (s *Subscription) ID() string {
	return models.SubscriptionNode.PairID(s.Owner.ExternalID, s.User.ExternalID)
}

// A page of subscriptions, and its items with cursors.
type (
	Connection = page.Connection[*Subscription]
	Edge       = page.Edge[*Subscription]
)

var targetColumns = database.Columns("users", "u_", models.User{})

// List returns a page of the owner's list, the newest first, in one query. It returns
// INVALID_ARGUMENT for a cursor of another list.
func (s *Service) List(ctx context.Context, owner *models.User, r page.Request) (*Connection, error) {
	order := page.Order{List: "subscriptions", Owner: owner.ID, Secret: s.secret, At: "s.position", ID: "s.target_id"}
	query, err := order.Limit(s.db.Read(ctx).Table("status_subscriptions s").
		Select(targetColumns+", s.position, s.subscribed_at").
		Joins("JOIN users ON users.id = s.target_id").Where("s.user_id = ?", owner.ID), r)
	if err != nil {
		return nil, err
	}
	var rows []*struct {
		User         models.User `gorm:"embedded;embeddedPrefix:u_"`
		Position     models.Time
		SubscribedAt models.Time
	}
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("listing subscriptions: %w", err)
	}
	items := make([]*Subscription, len(rows))
	keys := make([]page.Key, len(rows))
	for i, row := range rows {
		items[i] = &Subscription{Owner: owner, User: &row.User, SubscribedAt: row.SubscribedAt}
		keys[i] = page.Key{At: row.Position, ID: row.User.ID}
	}
	total := func(ctx context.Context) (int, error) {
		var n int64
		err := s.db.Read(ctx).Model(&models.StatusSubscription{}).Where("user_id = ?", owner.ID).Count(&n).Error
		return int(n), fault.Wrap(err, "counting subscriptions")
	}
	return page.Of(order, r, items, keys, total), nil
}

// SubscriberCount returns how many users have subscribed to the target's status.
func (s *Service) SubscriberCount(ctx context.Context, target *models.User) (int, error) {
	var n int64
	err := s.db.Read(ctx).Model(&models.StatusSubscription{}).Where("target_id = ?", target.ID).Count(&n).Error
	return int(n), fault.Wrap(err, "counting subscribers")
}

// Of returns the owner's subscription to the target's status, or nil if there is none.
func (s *Service) Of(ctx context.Context, owner, target *models.User) (*Subscription, error) {
	var rows []models.StatusSubscription
	err := s.db.Read(ctx).Where("user_id = ? AND target_id = ?", owner.ID, target.ID).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, fault.Wrap(err, "reading a subscription")
	}
	return &Subscription{Owner: owner, User: target, SubscribedAt: rows[0].SubscribedAt}, nil
}

var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

func without(keys, others []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(keys), func(key int64) bool { return slices.Contains(others, key) })
}

// distinct returns each ID once, where it stands first.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}
