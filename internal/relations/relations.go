// Package relations holds the rules about what users are to each other: friends
// and friend requests, blocklists and whitelists, and who may message whom.
package relations

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/models"
)

// Service carries out the rules.
type Service struct {
	db          *database.DB
	bus         *bus.Bus
	clock       func() time.Time
	watchers    watchers
	decide      func(ctx context.Context, questions []question) (map[question]answer, error)
	permissions *database.Coalescer[question, answer]

	keys  *database.Coalescer[externalKey, int64]
	adder *adder

	// friends are those of owners whose blocklist is empty, who can have blocked
	// none of them.
	friends, friendsAndBlocks *pages[*Friendship]
	incoming, outgoing        *pages[*FriendRequest]
	blocks                    *pages[*Block]
	allowed                   *pages[*WhitelistEntry]

	turns *turns

	// requestIDs make the IDs of friend requests out of their numeric keys.
	requestIDs *opaque.Sealer
}

const (
	// keysTogether is how many users' keys are read by one query.
	keysTogether = 64
	// keysAlone is of how many users, mostly two a change, the keys are read by queries
	// of their own before changes share them.
	keysAlone = 8
)

// New returns a Service that publishes on b which friendships begin and end. secret encrypts cursors
// and request IDs; see token.Keys. clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, secret opaque.Secret, clock func() time.Time) *Service {
	ids := requestIDs(secret)
	s := &Service{
		db: db, bus: b, requestIDs: ids, clock: clock, turns: newTurns(),
		keys:    database.NewCoalescer(keysTogether, database.Fetcher(db, userKeys(db))).Alone(keysAlone),
		friends: friendPages(db, secret, false), friendsAndBlocks: friendPages(db, secret, true),
		incoming: requestPages(db, secret, ids, true), outgoing: requestPages(db, secret, ids, false),
		blocks: blockPages(db, secret), allowed: whitelistPages(db, secret),
	}
	aboutEvent.Hear(b, func(_ context.Context, t told) {
		if t.Event.complete() {
			s.watchers.deliver(t.To, t.Event)
		}
	})
	s.adder = newAdder(db, s.now)
	s.decide = database.Fetcher(db, decisions(db))
	s.permissions = database.NewCoalescer(MaxPairs, s.decide).Alone(decidersAlone)
	return s
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// people are users by their external IDs.
type people map[string]*models.User

// find reads the app's users with these IDs, in one query.
func (s *Service) find(tx *gorm.DB, app *models.App, ids []string) (people, error) {
	var rows []*models.User
	out := make(people, len(ids))
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !database.IsASCII(id) })
	if len(ids) == 0 {
		return out, nil
	}
	if err := tx.Where("app_id = ? AND external_id IN ?", app.ID, ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	for _, u := range rows {
		out[u.ExternalID] = u
	}
	return out, nil
}

// change runs fn in a transaction in which the users with these IDs are locked,
// and then sends the events that fn has noted. Locks are taken in the order of
// the numeric keys by everybody.
func (s *Service) change(ctx context.Context, app *models.App, ids []string, fn func(tx *gorm.DB, who people, note *notes) error) error {
	return s.inTurn(ctx, app, ids, func(keys map[string]int64, held *heldTurns) (*notes, error) {
		return s.locked(ctx, keys, held, fn)
	})
}

// inTurn runs fn, which changes relations of the users with these IDs, when it is
// their turn, and sends the events that fn has noted. fn is told the users' keys.
func (s *Service) inTurn(ctx context.Context, app *models.App, ids []string, fn func(keys map[string]int64, held *heldTurns) (*notes, error)) error {
	keys, err := s.keysOf(ctx, app, ids)
	if err != nil {
		return err
	}
	held, err := s.takeTurns(ctx, app, ids)
	if err != nil {
		return fault.Wrap(err, "changing relations")
	}
	defer held.end()
	n, err := fn(keys, held)
	if err != nil {
		return fault.Wrap(err, "changing relations")
	}
	s.send(ctx, n)
	return nil
}

// locked runs fn in a transaction in which the users with these keys are locked.
func (s *Service) locked(ctx context.Context, keys map[string]int64, held *heldTurns, fn func(tx *gorm.DB, who people, note *notes) error) (*notes, error) {
	var n *notes
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		n = &notes{at: s.now(), turns: held}
		who, err := lock(tx, slices.Sorted(maps.Values(keys)))
		if err != nil {
			return err
		}
		return fn(tx, who, n)
	})
	return n, err
}

// externalKey names a user as the API does.
type externalKey struct {
	appID int64
	id    string
}

// keysOf answers users.id of those of the IDs that somebody has.
func (s *Service) keysOf(ctx context.Context, app *models.App, ids []string) (map[string]int64, error) {
	var asked []externalKey
	for _, id := range ids {
		if database.IsASCII(id) {
			asked = append(asked, externalKey{app.ID, id})
		}
	}
	found, err := s.keys.GetAll(ctx, asked)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]int64, len(asked))
	for _, external := range asked {
		if key, ok := found[external]; ok {
			keys[external.id] = key
		}
	}
	return keys, nil
}

// userKeys reads users.id from the index of the IDs that the API has.
func userKeys(db *database.DB) database.Lookup[externalKey, int64] {
	const one = "app_id = ? AND external_id = ?"
	return database.Lookup[externalKey, int64]{
		What: "users",
		Text: func(n int) string {
			return "SELECT app_id, external_id, id FROM " + db.Using("users", "users_app_external") +
				" WHERE " + strings.Repeat(one+" OR ", n-1) + one
		},
		Bind: func(args []any, key externalKey) []any { return append(args, key.appID, key.id) },
		Rows: func([]externalKey) ([]any, func() (externalKey, int64)) {
			var external externalKey
			var key int64
			return []any{&external.appID, &external.id, &key}, func() (externalKey, int64) { return external, key }
		},
	}
}

// lock reads users for changing their relations. One who has been deleted since
// the keys were found is missing.
func lock(tx *gorm.DB, keys []int64) (people, error) {
	out := make(people, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	var rows []*models.User
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id IN ?", keys).Order("id").Find(&rows).Error
	for _, u := range rows {
		out[u.ExternalID] = u
	}
	return out, err
}

// active returns the user with that ID. Errors as the function active's.
func (p people) active(id string) (*models.User, error) {
	u := p[id]
	if err := active(id, u); err != nil {
		return nil, err
	}
	return u, nil
}

// active returns USER_NOT_FOUND if u is nil, and USER_DEACTIVATED if it is deactivated, both with
// `userId`.
func active(id string, u *models.User) error {
	switch {
	case u == nil:
		return unknown(id)
	case u.DeactivatedAt != nil:
		return deactivated(id)
	}
	return nil
}

func unknown(id string) *fault.Error {
	return fault.New(fault.UserNotFound, "there is no user %q", id).With("userId", id)
}

func deactivated(id string) *fault.Error {
	return fault.New(fault.UserDeactivated, "the user %q is deactivated", id).With("userId", id)
}

func oneself() *fault.Error {
	return fault.New(fault.SelfReference, "this is between two different users")
}

// refused is the answer for an item that was not done.
func refused(id string, err error) *models.ItemResult {
	refusal, _ := fault.As(err)
	outcome := models.OutcomeRefused
	if refusal.Code == fault.UserNotFound {
		outcome = models.OutcomeNotFound
	}
	return &models.ItemResult{ID: id, Outcome: outcome, Error: &models.ItemError{Code: string(refusal.Code), Message: refusal.Message}}
}

func done(id string) *models.ItemResult {
	return &models.ItemResult{ID: id, Outcome: models.OutcomeDone}
}

func already(id string) *models.ItemResult {
	return &models.ItemResult{ID: id, Outcome: models.OutcomeAlready}
}
