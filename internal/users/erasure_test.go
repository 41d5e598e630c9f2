package users

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/jobs"
	"rollcall/internal/operators"
	"rollcall/internal/presence"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/retention"
	"rollcall/internal/subscriptions"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// erasureWorld is a world with presence, and a Redis of its own.
type erasureWorld struct {
	*world
	relations     *relations.Service
	subscriptions *subscriptions.Service
	presence      *presence.Hub
	redis         *redis.Client
}

// noLink is a device's connection that ignores everything.
type noLink struct{}

func (noLink) Cut(status.Cause)      {}
func (noLink) Client() status.Client { return status.Client{} }

func newErasureWorld(t *testing.T, db *database.DB) *erasureWorld {
	t.Helper()
	w := &erasureWorld{world: &world{t: t, db: db, bus: new(bus.Bus), now: time.Now()}}
	keys, err := token.OpenKeys(t.Context(), db, "", w.clock)
	if err != nil {
		t.Fatal(err)
	}
	w.redis = testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	w.apps = apps.New(db, w.bus, keys, w.clock)
	w.relations = relations.New(db, w.bus, keys.Secret(), w.clock)
	w.presence = presence.New(db, w.bus, circles.Interests{Friends: relations.Friends, Subscriptions: subscriptions.Lists}, presence.Options{
		Clock: w.clock, Redis: w.redis, Logger: slog.New(slog.DiscardHandler),
	})
	w.subscriptions = subscriptions.New(db, w.bus, w.presence, subscriptions.Options{Clock: w.clock, Secret: keys.Secret()})
	if err := w.presence.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.presence.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.users = New(db, w.bus, keys, Erasers{w.relations, w.subscriptions}, Options{Clock: w.clock})
	w.app = w.newApp("app", models.EnvironmentDevelopment, models.EditionFlagship)
	return w
}

// marks are the texts that one user has left, by their kind.
type marks map[string]string

// live registers a user and leaves a mark in every place where the user and others can enter a text
// about it. offline means that it has no device in the end.
func (w *erasureWorld) live(offline bool) marks {
	w.t.Helper()
	m := marks{}
	for _, what := range []string{"id", "name", "avatar", "reason", "custom", "sent", "received", "remark", "friend's remark", "note"} {
		m[what] = strings.ToLower(rand.Text())
	}
	m["policy"] = strings.ToLower(string(models.PolicyNobody)) // no other user has it
	must := func(_ any, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	text := func(what string) *string { s := m[what]; return &s }
	ctx, by, id := w.t.Context(), models.Actor{Name: "op", Address: "192.0.2.1"}, m["id"]
	avatar := "https://example.com/" + m["avatar"]
	must(w.users.Register(ctx, w.app, Registration{ID: id, Name: strings.ToUpper(m["name"]), AvatarURL: avatar}))
	row := func() *models.User {
		u, err := w.users.ByID(ctx, w.app.ID, id)
		must(u, err)
		return u
	}
	ann, err := w.users.ByID(ctx, w.app.ID, "ann")
	must(ann, err)

	must(w.relations.AddFriend(ctx, w.app, id, "ann", text("remark")))
	must(w.relations.SetFriendRemark(ctx, w.app, "ann", id, m["friend's remark"]))
	must(w.relations.SendFriendRequest(ctx, w.app, id, "bob", text("sent")))
	must(w.relations.SendFriendRequest(ctx, w.app, "cid", id, text("received")))
	must(w.relations.AddToBlocklist(ctx, w.app, id, []string{"dan"}))
	must(w.relations.AddToBlocklist(ctx, w.app, "dan", []string{id}))
	must(w.relations.AddToWhitelist(ctx, w.app, id, []string{"ann"}))
	must(w.relations.AddToWhitelist(ctx, w.app, "ann", []string{id}))
	must(w.relations.SetWhitelistEnabled(ctx, w.app, []string{id}, true, by))
	must(w.relations.SetFriendRequestPolicy(ctx, w.app, id, models.PolicyNobody))
	must(w.subscriptions.Subscribe(ctx, w.app, row(), []string{"ann"}))
	must(w.subscriptions.Subscribe(ctx, w.app, ann, []string{id}))

	must(w.users.AddNote(ctx, w.app, id, m["note"], by))
	must(w.users.GrantToken(ctx, w.app, id, time.Minute, by))
	must(w.users.ExpireTokens(ctx, w.app, []string{id}, models.TimeOf(w.clock()), by))
	must(w.presence.Disconnect(ctx, status.AccountOf(row()), []string{"unknown"}, by))
	must(nil, w.users.Export(ctx, w.app, Filter{Search: m["name"]}, by, func([]*models.User) error { return nil }))

	// Another Service revokes without a message to this node, which could arrive after the next
	// connect and disconnect it.
	silent := New(w.db, new(bus.Bus), w.users.keys, w.relations, Options{Clock: w.clock})
	must(silent.Ban(ctx, w.app, []string{id}, Sentence{Length: time.Minute, Reason: text("reason")}, by))
	w.pass(time.Hour) // the ban expires, which does not remove the reason
	device, err := w.presence.Connect(ctx, status.AccountOf(row()), models.PlatformIOS, noLink{}, func(context.Context) error { return nil })
	must(device, err)
	must(w.presence.SetStatus(ctx, status.AccountOf(row()), m["custom"]))
	if offline {
		device.Gone()
	} else {
		w.t.Cleanup(device.Gone)
	}
	return m
}

// inDatabase returns the columns, as TABLE.COLUMN, that contain the text.
func (w *erasureWorld) inDatabase(text string) []string {
	w.t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
	if w.db.Dialect() == database.MySQL {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	}
	var tables []string
	if err := w.db.Read(w.t.Context()).Raw(query).Scan(&tables).Error; err != nil || len(tables) < 10 {
		w.t.Fatal(tables, err)
	}
	found := make(map[string]bool)
	for _, table := range tables {
		for _, column := range w.columnsWith(table, text) {
			found[table+"."+column] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// columnsWith returns the columns of a table that contain the text, once for each row.
func (w *erasureWorld) columnsWith(table, text string) (found []string) {
	w.t.Helper()
	rows, err := w.db.Read(w.t.Context()).Raw("SELECT * FROM " + table).Rows()
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	values, targets := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			w.t.Fatal(table, err)
		}
		for i, value := range values {
			if bytes.Contains(bytes.ToLower(value), []byte(text)) {
				found = append(found, columns[i])
			}
		}
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(table, err)
	}
	return found
}

// inRedis returns the remaining lifetime of the keys that contain the text in their name or value,
// by name. It is -1 ms for a key without expiry.
func (w *erasureWorld) inRedis(text string) map[string]time.Duration {
	w.t.Helper()
	ctx, c := w.t.Context(), w.redis
	keys, err := c.Do(ctx, c.B().Keys().Pattern(c.Key("*")).Build()).AsStrSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	found := make(map[string]time.Duration)
	for _, key := range keys {
		kind, err := c.Do(ctx, c.B().Type().Key(key).Build()).ToString()
		if err != nil {
			w.t.Fatal(err)
		}
		var value any
		switch kind {
		case "none": // it has just expired
			continue
		case "string":
			value, err = c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
		case "hash":
			value, err = c.Do(ctx, c.B().Hgetall().Key(key).Build()).AsStrMap()
		case "set":
			value, err = c.Do(ctx, c.B().Smembers().Key(key).Build()).AsStrSlice()
		case "zset":
			value, err = c.Do(ctx, c.B().Zrange().Key(key).Min("0").Max("-1").Build()).AsStrSlice()
		case "list":
			value, err = c.Do(ctx, c.B().Lrange().Key(key).Start(0).Stop(-1).Build()).AsStrSlice()
		default:
			w.t.Fatalf("%s is a %s", key, kind)
		}
		left, leftErr := c.Do(ctx, c.B().Pttl().Key(key).Build()).AsInt64()
		if err != nil || leftErr != nil {
			w.t.Fatal(key, err, leftErr)
		}
		if strings.Contains(key+fmt.Sprint(value), text) {
			found[strings.TrimPrefix(key, c.Key(""))] = time.Duration(left) * time.Millisecond
		}
	}
	return found
}

// TestErasure_LeavesNoTrace checks that what a user and others have entered about it is removed
// immediately from all tables and from Redis. Only its ID stays, and only where and as long as
// docs/privacy.md says.
func TestErasure_LeavesNoTrace(t *testing.T) {
	for name, test := range map[string]struct {
		erase   func(*Service) func(context.Context, *models.App, []string, models.Actor) ([]*batch.Result, error)
		offline bool
		// stays are the columns that keep the ID while the audit's entries are kept, and later
		// those that keep it afterwards.
		stays, later []string
		// redis is the longest time for which Redis keeps the ID.
		redis time.Duration
	}{
		"deactivated online":  {deactivating, false, []string{"audit_entries.target", "users.external_id", "users.search_name"}, []string{"users.external_id", "users.search_name"}, time.Hour},
		"deactivated offline": {deactivating, true, []string{"audit_entries.target", "users.external_id", "users.search_name"}, []string{"users.external_id", "users.search_name"}, time.Hour},
		"deleted online":      {deleting, false, []string{"audit_entries.target"}, nil, time.Minute},
		"deleted offline":     {deleting, true, []string{"audit_entries.target"}, nil, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.EachURL(t, func(t *testing.T, url string) {
				db := testenv.Open(t, url)
				w := newErasureWorld(t, db)
				for _, id := range []string{"ann", "bob", "cid", "dan"} {
					w.register(w.app, id)
				}
				m := w.live(test.offline)
				for what, mark := range m {
					if len(w.inDatabase(mark)) == 0 && len(w.inRedis(mark)) == 0 {
						t.Errorf("its %s is not stored before the erasure", what)
					}
				}
				results, err := test.erase(w.users)(t.Context(), w.app, []string{m["id"]}, models.Actor{Name: "op"})
				if err != nil || results[0].Outcome != models.OutcomeDone {
					t.Fatal(results, err)
				}
				kept := func(stays []string) {
					t.Helper()
					for what, mark := range m {
						var want []string
						if what == "id" {
							want = stays
						}
						if got := w.inDatabase(mark); !slices.Equal(got, want) {
							t.Errorf("its %s is in %q, want %q", what, got, want)
						}
					}
				}
				kept(test.stays)
				for what, mark := range m {
					for key, left := range w.inRedis(mark) {
						if what != "id" || left < 0 || left > test.redis {
							t.Errorf("its %s is in Redis, in %s, for %v", what, key, left)
						}
					}
				}

				const auditRetention = audit.MinRetention
				w.pass(auditRetention)
				rules := slices.Concat(operators.Expiring(), audit.New(db, w.clock).Expiring(auditRetention), relations.Expiring(), jobs.Expiring())
				if _, err := retention.New(db, w.clock, slog.Default(), rules...).Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				kept(test.later)
				if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
					w.wantErasedFrom(path, m, test.later != nil)
				}
			})
		})
	}
}

func deactivating(s *Service) func(context.Context, *models.App, []string, models.Actor) ([]*batch.Result, error) {
	return s.Deactivate
}

func deleting(s *Service) func(context.Context, *models.App, []string, models.Actor) ([]*batch.Result, error) {
	return s.Delete
}

// wantErasedFrom checks the bytes of an SQLite database's files. idStays means that the user's ID
// is kept.
func (w *erasureWorld) wantErasedFrom(path string, m marks, idStays bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		err := w.db.Scrub(w.t.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			w.t.Fatal(err)
		}
		data = bytes.ToLower(data)
		for what, mark := range m {
			if found := bytes.Contains(data, []byte(mark)); found && (what != "id" || !idStays) {
				w.t.Errorf("its %s is in the bytes of the file%s", what, suffix)
			}
		}
	}
}
