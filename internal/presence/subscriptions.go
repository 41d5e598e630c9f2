package presence

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/presence/status"
	"rollcall/internal/turn"
	"rollcall/models"
)

// Subscribed is what Subscribe returns.
type Subscribed struct {
	// Statuses are those of the requested users, each once.
	Statuses []*models.UserStatus
	// EvictedIDs are the users that were removed because of the limit, the earliest subscribed
	// first.
	EvictedIDs []string
}

// Subscription is an entry of a user's subscriptions.
type Subscription struct {
	User         *models.User
	SubscribedAt models.Time
}

// A page of subscriptions, and its items with cursors.
type (
	SubscriptionConnection = page.Connection[*Subscription]
	SubscriptionEdge       = page.Edge[*Subscription]
)

// turns makes changes of subscriptions reach the circles in the order of their commits: the changes
// of one owner among themselves, and new subscriptions relative to the erasure of their owner or of
// a target. A caller that takes both takes the owner's first. The data needs no turns: the row
// locks keep it correct.
type turns struct {
	owners []*semaphore.Weighted
	// lives are taken exclusively by an erasure of users, and shared by subscriptions to them, so
	// that a thousand users that reconnect and subscribe to the same users do not queue up.
	lives []*semaphore.Weighted
}

func newTurns() turns { return turns{owners: turn.New(1024), lives: turn.New(1024)} }

// take waits until no other call in this process changes the owner's subscriptions. It returns
// turn.Take's errors.
func (t *turns) take(ctx context.Context, ownerID int64) (done func(), err error) {
	return turn.Take(ctx, turn.Exclusive, t.owners[uint64(ownerID)%uint64(len(t.owners))])
}

// livesOf returns the lives of the app's users with these IDs, in the order in which all callers
// take them.
func (t *turns) livesOf(app *models.App, ids []string) []*semaphore.Weighted {
	places := make([]int, len(ids))
	for i, id := range ids {
		places[i] = int((maphash.String(livesSeed, id) + uint64(app.ID)) % uint64(len(t.lives)))
	}
	slices.Sort(places)
	places = slices.Compact(places)
	lives := make([]*semaphore.Weighted, len(places))
	for i, place := range places {
		lives[i] = t.lives[place]
	}
	return lives
}

var livesSeed = maphash.MakeSeed()

// share waits until no call in this process erases any of these users, and prevents erasures until
// done is called. It returns turn.Take's errors.
func (t *turns) share(ctx context.Context, app *models.App, ids []string) (done func(), err error) {
	return turn.Take(ctx, turn.Shared, t.livesOf(app, ids)...)
}

// Hold prevents subscriptions to and by the app's users with these IDs, which are about to be
// erased, until release is called. It returns turn.Take's errors.
func (h *Hub) Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error) {
	return turn.Take(ctx, turn.Exclusive, h.turns.livesOf(app, ids)...)
}

// Subscribe adds users to the owner's subscriptions and returns their statuses, which are not older
// than the first change that the owner receives. The last of ids becomes the newest subscription. A
// user that is already subscribed moves; an ID given twice counts where it stands first. If the
// app's limit is exceeded, the earliest subscriptions are removed. It returns, without any change,
// SELF_REFERENCE, or USER_NOT_FOUND or USER_DEACTIVATED with `userId`.
func (h *Hub) Subscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (*Subscribed, error) {
	done, err := h.turns.take(ctx, owner.ID)
	if err != nil {
		return nil, wrap(err, "subscribing")
	}
	defer done()
	ids = distinct(ids)
	kept, err := h.turns.share(ctx, app, append([]string{owner.ExternalID}, ids...))
	if err != nil {
		return nil, wrap(err, "subscribing")
	}
	defer kept()
	targets, err := h.targets(ctx, app, owner, ids)
	if err != nil {
		return nil, err
	}
	// Before the commit, so that clearSubscriptions does not delete the new subscriptions.
	h.lingerers.note(owner.ID, h.now())
	evicted, err := h.subscribe(ctx, app, owner, targets, false)
	if errors.Is(err, errAgain) {
		evicted, err = h.subscribe(ctx, app, owner, targets, true)
	}
	if err != nil {
		return nil, wrap(err, "subscribing")
	}

	out := &Subscribed{Statuses: make([]*models.UserStatus, len(targets)), EvictedIDs: make([]string, len(evicted))}
	gone := make([]int64, len(evicted))
	for i, u := range evicted {
		out.EvictedIDs[i], gone[i] = u.ExternalID, u.ID
	}
	if c := h.audience.circle(owner.ID); c != nil {
		c.change(fromSubscriptions, change{ids: keysOf(targets), on: true})
		c.change(fromSubscriptions, change{ids: gone})
	}
	h.tellList(fromSubscriptions, owner.ID, append(keysOf(targets), gone...)...)
	if err := h.store.settle(ctx); err != nil {
		return nil, wrap(err, "subscribing")
	}
	accs := make([]status.Account, len(targets))
	for i, u := range targets {
		accs[i] = status.AccountOf(u)
	}
	statuses, err := h.statuses(ctx, accs)
	if err != nil {
		return nil, wrap(err, "subscribing")
	}
	for i := range statuses {
		out.Statuses[i] = &statuses[i]
	}
	return out, nil
}

// errAgain is returned by enlist if the list has changed between reading and locking it.
var errAgain = errors.New("the subscriptions have changed concurrently")

// subscribe calls enlist in a transaction.
func (h *Hub) subscribe(ctx context.Context, app *models.App, owner *models.User, targets []*models.User, all bool) (evicted []*models.User, err error) {
	err = h.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		evicted, err = h.enlist(tx, app, owner, targets, all)
		return err
	})
	return evicted, err
}

// enlist puts the targets at the end of the owner's list and returns the users that it removed from
// the beginning. It locks the owner and the targets that are new on the list, so that a concurrent
// erasure of a user either sees the subscription and deletes it, or is seen here. Targets that are
// already on the list need no lock, so that a thousand users that reconnect with the same
// subscriptions do not queue up. If all is set, all targets are locked. It returns errAgain if the
// list has changed concurrently and must be read again with all.
func (h *Hub) enlist(tx *gorm.DB, app *models.App, owner *models.User, targets []*models.User, all bool) (evicted []*models.User, err error) {
	targetKeys := keysOf(targets)
	var known []int64
	if !all {
		err := tx.Model(&models.StatusSubscription{}).Where("user_id = ? AND target_id IN ?", owner.ID, targetKeys).Pluck("target_id", &known).Error
		if err != nil {
			return nil, err
		}
	}
	locked, err := lockUsers(tx, append(without(targetKeys, known), owner.ID))
	if err != nil {
		return nil, err
	}
	var rows []*models.StatusSubscription
	err = tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("user_id = ?", owner.ID).Order("position").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	listed := make(map[int64]bool, len(rows))
	last := int64(0)
	for _, row := range rows {
		listed[row.TargetID] = true
		last = row.Position
	}
	for _, u := range append([]*models.User{owner}, targets...) {
		now := locked[u.ID]
		switch {
		case now != nil && now.DeactivatedAt != nil:
			return nil, fault.New(fault.UserDeactivated, "the user %q is deactivated", u.ExternalID).With("userId", u.ExternalID)
		case now == nil && !listed[u.ID] && !slices.Contains(known, u.ID):
			return nil, notFound(u.ExternalID)
		case now == nil && !listed[u.ID]:
			return nil, errAgain
		}
	}
	at := h.now()
	for i, u := range targets {
		rows = slices.DeleteFunc(rows, func(row *models.StatusSubscription) bool { return row.TargetID == u.ID })
		rows = append(rows, &models.StatusSubscription{UserID: owner.ID, Position: last + 1 + int64(i), TargetID: u.ID, SubscribedAt: at})
	}
	surplus := rows[:max(0, len(rows)-app.Settings.StatusSubscriptionLimit)]
	var surplusKeys []int64
	for _, row := range surplus {
		surplusKeys = append(surplusKeys, row.TargetID)
	}
	err = tx.Where("user_id = ? AND target_id IN ?", owner.ID, append(slices.Clone(targetKeys), surplusKeys...)).
		Delete(&models.StatusSubscription{}).Error
	if err != nil {
		return nil, err
	}
	// The rows of this call are the last.
	if added := rows[max(len(surplus), len(rows)-len(targets)):]; len(added) > 0 {
		if err := tx.Create(added).Error; err != nil {
			return nil, err
		}
	}
	return usersInOrder(tx, surplusKeys)
}

// Unsubscribe removes users from the owner's subscriptions, all of them if ids is empty, and
// returns how many it removed. IDs of users that are not subscribed are ignored.
func (h *Hub) Unsubscribe(ctx context.Context, app *models.App, owner *models.User, ids []string) (int, error) {
	done, err := h.turns.take(ctx, owner.ID)
	if err != nil {
		return 0, wrap(err, "unsubscribing")
	}
	defer done()
	targets, err := h.find(ctx, app, ids)
	if err != nil || len(ids) > 0 && len(targets) == 0 {
		return 0, wrap(err, "unsubscribing")
	}
	var keys []int64
	for _, u := range targets {
		keys = append(keys, u.ID)
	}
	gone, err := h.unsubscribe(ctx, owner.ID, func(tx *gorm.DB) *gorm.DB {
		if len(ids) > 0 {
			return tx.Where("target_id IN ?", keys)
		}
		return tx
	})
	return len(gone), wrap(err, "unsubscribing")
}

// unsubscribe removes the users that the condition selects from the owner's subscriptions and
// returns them. If condition returns nil, it removes none. The caller has the owner's turn.
func (h *Hub) unsubscribe(ctx context.Context, ownerID int64, condition func(tx *gorm.DB) *gorm.DB) (gone []int64, err error) {
	err = h.db.Tx(ctx, func(tx *gorm.DB) error {
		gone = nil
		if _, err := lockUsers(tx, []int64{ownerID}); err != nil {
			return err
		}
		named := condition(tx)
		if named == nil {
			return nil
		}
		err := named.Model(&models.StatusSubscription{}).Where("user_id = ?", ownerID).Pluck("target_id", &gone).Error
		if err != nil || len(gone) == 0 {
			return err
		}
		return tx.Where("user_id = ? AND target_id IN ?", ownerID, gone).Delete(&models.StatusSubscription{}).Error
	})
	if err != nil {
		return nil, err
	}
	if c := h.audience.circle(ownerID); c != nil {
		c.change(fromSubscriptions, change{ids: gone})
	}
	h.tellList(fromSubscriptions, ownerID, gone...)
	return gone, nil
}

var subscriptionColumns = database.Columns("users", "u_", models.User{})

// Subscriptions returns a page of the owner's subscriptions, the newest first, in one query. It
// returns INVALID_ARGUMENT for a cursor of another list.
func (h *Hub) Subscriptions(ctx context.Context, owner *models.User, r page.Request) (*SubscriptionConnection, error) {
	order := page.Order{List: "subscriptions", Owner: owner.ID, Secret: h.secret, At: "s.position", ID: "s.target_id"}
	query, err := order.Limit(h.db.Read(ctx).Table("status_subscriptions s").
		Select(subscriptionColumns+", s.position, s.subscribed_at").
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
		items[i] = &Subscription{User: &row.User, SubscribedAt: row.SubscribedAt}
		keys[i] = page.Key{At: row.Position, ID: row.User.ID}
	}
	total := func(ctx context.Context) (int, error) {
		var n int64
		err := h.db.Read(ctx).Model(&models.StatusSubscription{}).Where("user_id = ?", owner.ID).Count(&n).Error
		return int(n), wrap(err, "counting subscriptions")
	}
	return page.Of(order, r, items, keys, total), nil
}

// Erase deletes the subscriptions of and to users that are deactivated or deleted in tx. The caller
// must call announce after tx has committed, which removes them from other users' circles. Until
// then it must hold the users, see Hold.
func (h *Hub) Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error) {
	keys := keysOf(gone)
	var rows []*models.StatusSubscription
	err = tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("target_id IN ?", keys).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	for _, column := range []string{"user_id", "target_id"} {
		if err := tx.Where(column+" IN ?", keys).Delete(&models.StatusSubscription{}).Error; err != nil {
			return nil, err
		}
	}
	return func() {
		for _, row := range rows {
			if c := h.audience.circle(row.UserID); c != nil {
				c.change(fromSubscriptions, change{ids: []int64{row.TargetID}})
			}
			h.tellList(fromSubscriptions, row.UserID, row.TargetID)
		}
	}, nil
}

// targets returns the users to subscribe to, in the order of ids. It returns SELF_REFERENCE if the
// owner is one of them, or USER_NOT_FOUND or USER_DEACTIVATED with `userId`.
func (h *Hub) targets(ctx context.Context, app *models.App, owner *models.User, ids []string) ([]*models.User, error) {
	if slices.Contains(ids, owner.ExternalID) {
		return nil, fault.New(fault.SelfReference, "a user cannot subscribe to itself: it receives its own changes anyway")
	}
	found, err := h.find(ctx, app, ids)
	if err != nil {
		return nil, wrap(err, "subscribing")
	}
	targets := make([]*models.User, len(ids))
	for i, id := range ids {
		u := found[id]
		switch {
		case u == nil:
			return nil, notFound(id)
		case u.DeactivatedAt != nil:
			return nil, fault.New(fault.UserDeactivated, "the user %q is deactivated", id).With("userId", id)
		}
		targets[i] = u
	}
	return targets, nil
}

// find returns the app's users with these IDs, by ID, in one query.
func (h *Hub) find(ctx context.Context, app *models.App, ids []string) (map[string]*models.User, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !database.IsASCII(id) })
	out := make(map[string]*models.User, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*models.User
	if err := h.db.Read(ctx).Where("app_id = ? AND external_id IN ?", app.ID, ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	for _, u := range rows {
		out[u.ExternalID] = u
	}
	return out, nil
}

// lockUsers locks users in the order of their keys, as all transactions do, and returns them by
// key.
func lockUsers(tx *gorm.DB, keys []int64) (map[int64]*models.User, error) {
	slices.Sort(keys)
	var rows []*models.User
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id IN ?", keys).Order("id").Find(&rows).Error
	out := make(map[int64]*models.User, len(rows))
	for _, u := range rows {
		out[u.ID] = u
	}
	return out, err
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

func keysOf(users []*models.User) []int64 {
	keys := make([]int64, len(users))
	for i, u := range users {
		keys[i] = u.ID
	}
	return keys
}

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

func notFound(id string) *fault.Error {
	return fault.New(fault.UserNotFound, "there is no user %q", id).With("userId", id)
}

// wrap names the operation that an error without a code for callers came from.
func wrap(err error, operation string) error {
	var refusal *fault.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}
