// Package relations implements the rules for the relations between users: friends and friend
// requests, blocklists and whitelists, and which users may message each other.
package relations

import (
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Friends describes the friends of each user, for a package that follows them.
var Friends = database.Pairs{Table: "friendships", Owner: "user_id", Other: "friend_id"}

// Service implements the rules for relations.
type Service struct {
	db          *database.DB
	bus         *bus.Bus
	clock       func() time.Time
	watchers    watchers
	decide      func(ctx context.Context, questions []question) (map[question]facts, error)
	permissions *database.Coalescer[question, facts]
	tally       *tally

	finder *userlock.Finder
	locks  *userlock.Locks
	outbox *outbox.Outbox
	times  *listTimes
	adder  *adder

	friends            friendLists
	incoming, outgoing *pages[*FriendRequest]
	blocks             *pages[*Block]
	allowed            *pages[*WhitelistEntry]

	// requestIDs encrypts the numeric keys of friend requests to their IDs.
	requestIDs *opaque.Sealer
}

// New returns a Service that publishes on b the friendships that begin and end. secret encrypts
// cursors and request IDs; see token.Keys. clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, secret opaque.Secret, clock func() time.Time) *Service {
	ids := requestIDs(secret)
	s := &Service{
		db: db, bus: b, requestIDs: ids, clock: clock,
		finder: userlock.NewFinder(db), locks: userlock.NewLocks(), outbox: outbox.New(db), times: new(listTimes), tally: newTally(),
		friends:  newFriendLists(db, secret),
		incoming: requestPages(db, secret, ids, true), outgoing: requestPages(db, secret, ids, false),
		blocks: blockPages(db, secret), allowed: whitelistPages(db, secret),
	}
	eventMessage.Hear(b, func(_ context.Context, e userEvent) {
		if e.Event.complete() {
			s.watchers.deliver(e.To, e.Event)
		}
	})
	s.adder = newAdder(db, s.now, ids)
	s.adder.outbox = s.outbox
	s.decide = database.Fetcher(db, decisions(db))
	s.permissions = database.NewCoalescer(MaxPairs, s.decide).Alone(decidersAlone)
	return s
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// change runs fn in a transaction that has locked the rows of the users with these IDs, in the order
// of users.id, and then sends the events that fn noted.
func (s *Service) change(ctx context.Context, app *models.App, ids []string, fn func(tx *gorm.DB, users userlock.Users, n *notes) error) error {
	return s.serialize(ctx, app, ids, func(keys map[string]int64, held *heldUsers) (*notes, error) {
		return s.locked(ctx, app, keys, held, fn)
	})
}

// serialize runs fn, which changes relations of the users with these IDs, while no other change of
// their relations runs in this process, and sends the events that fn noted. fn receives the users.id
// of those that exist.
func (s *Service) serialize(ctx context.Context, app *models.App, ids []string, fn func(keys map[string]int64, held *heldUsers) (*notes, error)) error {
	keys, err := s.finder.Keys(ctx, app, ids)
	if err != nil {
		return err
	}
	held, err := s.acquire(ctx, app, ids)
	if err != nil {
		return fault.Wrap(err, "changing relations")
	}
	defer held.Release()
	n, err := fn(keys, held)
	if err != nil {
		return fault.Wrap(err, "changing relations")
	}
	s.send(ctx, n)
	return nil
}

// locked runs fn in a transaction that has locked the rows of the users with these keys, and records
// the events that fn noted.
func (s *Service) locked(ctx context.Context, app *models.App, keys map[string]int64, held *heldUsers, fn func(tx *gorm.DB, users userlock.Users, n *notes) error) (*notes, error) {
	var n *notes
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		n = &notes{at: s.now(), held: held}
		users, err := userlock.LockKeys(tx, slices.Collect(maps.Values(keys)))
		if err != nil {
			return err
		}
		if err := fn(tx, users, n); err != nil {
			return err
		}
		return record(tx, s.outbox, app.ID, n)
	})
	return n, err
}

func oneself() *fault.Error {
	return fault.New(fault.SelfReference, "the two users must be different")
}
