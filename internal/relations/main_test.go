package relations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var ctx = context.Background()

// world is a Service on one database, with a clock that the test sets.
type world struct {
	t         testing.TB
	db        *database.DB
	users     *users.Service
	relations *Service
	app       *models.App
	// secret encrypts cursors and request IDs.
	secret opaque.Secret

	mu  sync.Mutex
	now time.Time

	journal journal
}

// each runs test in a world with these users on each kind of database.
func each(t *testing.T, test func(w *world), ids ...string) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db)
		w.register(ids...)
		test(w)
	})
}

func newWorld(t testing.TB, db *database.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, now: time.UnixMilli(1_790_000_000_000)}
	keys, err := token.OpenKeys(ctx, db, "", w.clock)
	w.ok(err)
	w.secret = keys.Secret()
	w.relations = New(db, &bus.Bus{}, w.secret, w.clock)
	w.users = users.New(db, &bus.Bus{}, keys, w.relations, users.Options{Clock: w.clock})
	w.app, _, err = apps.New(db, &bus.Bus{}, keys, w.clock).Create(ctx, apps.NewApp{
		Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
	}, models.Actor{})
	w.ok(err)
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) register(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		_, err := w.users.Register(ctx, w.app, users.Registration{ID: id, Name: "Name of " + id})
		w.ok(err)
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// user returns the user as it is in the database now.
func (w *world) user(id string) *models.User {
	w.t.Helper()
	u, err := w.users.ByID(ctx, w.app.ID, id)
	w.ok(err)
	if u == nil {
		w.t.Fatalf("there is no user %q", id)
	}
	return u
}

func (w *world) befriend(a string, others ...string) {
	w.t.Helper()
	for _, b := range others {
		_, err := w.relations.AddFriend(ctx, w.app, a, b, nil)
		w.ok(err)
	}
}

// request sends a friend request and returns its ID.
func (w *world) request(from, to string) string {
	w.t.Helper()
	sent, err := w.relations.SendFriendRequest(ctx, w.app, from, to, nil)
	w.ok(err)
	if sent.Request == nil {
		w.t.Fatalf("the request of %s to %s made them friends", from, to)
	}
	return sent.Request.ID
}

// batch checks the results of the items, by their codes or, without one, their outcomes.
func (w *world) batch(results []*batch.Result, err error) func(want ...string) {
	return func(want ...string) {
		w.t.Helper()
		w.ok(err)
		var got []string
		for _, r := range results {
			if r.Error != nil {
				got = append(got, string(r.Error.Code))
			} else {
				got = append(got, string(r.Outcome))
			}
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("got %q, want %q", got, want)
		}
	}
}

func (w *world) block(owner string, ids ...string) {
	w.t.Helper()
	results, err := w.relations.AddToBlocklist(ctx, w.app, owner, ids)
	w.batch(results, err)(slices.Repeat([]string{"DONE"}, len(ids))...)
}

func (w *world) allow(owner string, ids ...string) {
	w.t.Helper()
	results, err := w.relations.AddToWhitelist(ctx, w.app, owner, ids)
	w.batch(results, err)(slices.Repeat([]string{"DONE"}, len(ids))...)
}

func (w *world) whitelist(enabled bool, ids ...string) {
	w.t.Helper()
	results, err := w.relations.SetWhitelistEnabled(ctx, w.app, ids, enabled, audit.AppServer)
	w.batch(results, err)(slices.Repeat([]string{"DONE"}, len(ids))...)
}

func (w *world) deactivate(ids ...string) {
	w.t.Helper()
	results, err := w.users.Deactivate(ctx, w.app, ids, audit.AppServer)
	w.batch(results, err)(slices.Repeat([]string{"DONE"}, len(ids))...)
}

// friends returns the IDs of the user's friends, newest first.
func (w *world) friends(id string) []string {
	w.t.Helper()
	ids, err := w.relations.FriendIDs(ctx, w.user(id))
	w.ok(err)
	return ids
}

func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	w.ok(w.db.Read(ctx).Raw(query, args...).Scan(&n).Error)
	return n
}

// consistent checks the invariants that must hold after any concurrent changes.
func (w *world) consistent() {
	w.t.Helper()
	for what, query := range map[string]string{
		"friendships with one direction": `SELECT COUNT(*) FROM friendships f LEFT JOIN friendships g
			ON g.user_id = f.friend_id AND g.friend_id = f.user_id AND g.created_at = f.created_at WHERE g.user_id IS NULL`,
		"friend_count differs from the rows":    `SELECT COUNT(*) FROM users WHERE friend_count <> (SELECT COUNT(*) FROM friendships WHERE user_id = users.id)`,
		"block_count differs from the rows":     `SELECT COUNT(*) FROM users WHERE block_count <> (SELECT COUNT(*) FROM blocks WHERE user_id = users.id)`,
		"whitelist_count differs from the rows": `SELECT COUNT(*) FROM users WHERE whitelist_count <> (SELECT COUNT(*) FROM whitelist_entries WHERE user_id = users.id)`,
		"requests between friends": `SELECT COUNT(*) FROM friend_requests q JOIN friendships f
			ON f.user_id = q.from_id AND f.friend_id = q.to_id`,
		"requests despite a block": `SELECT COUNT(*) FROM friend_requests q JOIN blocks b
			ON b.user_id = q.from_id AND b.blocked_id = q.to_id OR b.user_id = q.to_id AND b.blocked_id = q.from_id`,
		"requests without the sender's row": `SELECT COUNT(*) FROM friend_requests q LEFT JOIN sent_friend_requests p
			ON p.id = q.id AND p.from_id = q.from_id AND p.to_id = q.to_id AND p.created_at = q.created_at
				AND p.expires_at = q.expires_at AND COALESCE(p.message, '') = COALESCE(q.message, '') WHERE p.id IS NULL`,
		"sent requests without the recipient's row": `SELECT COUNT(*) FROM sent_friend_requests q
			WHERE NOT EXISTS (SELECT 1 FROM friend_requests WHERE id = q.id)`,
		"requests that cross": `SELECT COUNT(*) FROM friend_requests q JOIN friend_requests p
			ON p.from_id = q.to_id AND p.to_id = q.from_id AND p.created_at < q.expires_at AND q.created_at < p.expires_at`,
	} {
		if n := w.count(query); n != 0 {
			w.t.Errorf("%s: %d", what, n)
		}
	}
	for _, column := range []string{
		"friendships.user_id", "friendships.friend_id", "blocks.user_id", "blocks.blocked_id",
		"whitelist_entries.user_id", "whitelist_entries.allowed_id", "friend_requests.from_id", "friend_requests.to_id",
		"sent_friend_requests.from_id", "sent_friend_requests.to_id", "friend_request_counts.user_id",
	} {
		table, _, _ := strings.Cut(column, ".")
		n := w.count(`SELECT COUNT(*) FROM ` + table + ` WHERE NOT EXISTS
			(SELECT 1 FROM users WHERE users.id = ` + column + ` AND users.deactivated_at IS NULL)`)
		if n != 0 {
			w.t.Errorf("%s refers to %d users that are deactivated or deleted", column, n)
		}
	}
}

// journal is the events that users received, in order, such as "ann: FRIEND_ADDED bob".
type journal struct {
	mu    sync.Mutex
	lines []string
	// events are the events of the lines.
	events []*Event
}

// take returns the lines so far and removes them.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines, j.events = nil, nil
	return lines
}

// device is a subscription to relationshipChanged that writes to the journal.
type device struct {
	*journal
	owner string
}

func (d *device) Deliver(ev *fanout.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	event := ev.Value().(*Event)
	d.lines = append(d.lines, fmt.Sprintf("%s: %s %s", d.owner, event.Kind, event.User.ExternalID))
	d.events = append(d.events, event)
	if !carries(d.owner, event) {
		d.lines[len(d.lines)-1] += fmt.Sprintf(" with the friendship %+v and the request %+v", event.Friendship, event.Request)
	}
}

// carries reports whether an event of the owner has the friendship or the request of its kind, and
// nothing else.
func carries(owner string, event *Event) bool {
	friendship, request := event.Friendship == nil, event.Request == nil
	switch event.Kind {
	case FriendAdded, FriendRemarkChanged:
		friendship = !friendship && event.Friendship.Owner.ExternalID == owner && event.Friendship.User.ExternalID == event.User.ExternalID
	case FriendRequestReceived, FriendRequestCancelled:
		request = !request && event.Request.From.ExternalID == event.User.ExternalID && event.Request.To.ExternalID == owner
	case FriendRequestAccepted, FriendRequestDeclined:
		request = !request && event.Request.To.ExternalID == event.User.ExternalID && event.Request.From.ExternalID == owner
	}
	return friendship && request && (event.Request == nil || event.Request.ID != "" && event.Request.ExpiresAt > event.OccurredAt)
}

// watch subscribes a device of each of these users, which writes to the world's journal.
func (w *world) watch(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.relations.Watch(ctx, w.user(id).ID, &device{&w.journal, id})
	}
}

// told checks the events since the last call.
func (w *world) told(want ...string) {
	w.t.Helper()
	if got := w.journal.take(); !slices.Equal(got, want) {
		w.t.Errorf("events %q\nwant %q", got, want)
	}
}

// refused checks an error's code.
func (w *world) refused(err error, want fault.Code) *fault.Error {
	w.t.Helper()
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Code != want {
		w.t.Fatalf("got the error %v, want %s", err, want)
	}
	return refusal
}
