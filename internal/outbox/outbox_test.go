package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var ctx = context.Background()

// world has the rules that record events, on one database, with a clock that stands still, and an app
// with an endpoint that receives all events.
type world struct {
	t             *testing.T
	db            *database.DB
	keys          *token.Keys
	users         *users.Service
	relations     *relations.Service
	apps          *apps.Service
	subscriptions *subscriptions.Service
	app           *models.App
	endpoint      *models.WebhookEndpoint
}

const now = 1_790_000_000_000

func clock() time.Time { return time.UnixMilli(now) }

func each(t *testing.T, test func(w *world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db}
		var err error
		w.keys, err = token.OpenKeys(ctx, db, "", clock)
		w.must(err)
		w.apps = apps.New(db, new(bus.Bus), w.keys, clock)
		w.app, _, err = w.apps.Create(ctx, apps.NewApp{Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, models.Actor{})
		w.must(err)
		w.app.Settings.FriendLimit = apps.MaxListLimit
		w.endpoint = w.newEndpoint()
		w.relations = w.node()
		w.subscriptions = subscriptions.New(db, new(bus.Bus), devices{}, subscriptions.Options{Clock: clock})
		w.users = users.New(db, new(bus.Bus), w.keys, users.Erasers{w.relations}, users.Options{Clock: clock})
		test(w)
	})
}

// devices is the presence of users that have none.
type devices struct{ subscriptions.Presence }

func (devices) WatchedStatusesOf(_ context.Context, users []*models.User) ([]models.UserStatus, error) {
	return make([]models.UserStatus, len(users)), nil
}

// node returns the relations of another node.
func (w *world) node() *relations.Service {
	return relations.New(w.db, new(bus.Bus), w.keys.Secret(), clock)
}

// newEndpoint creates an endpoint for these types, or for all.
func (w *world) newEndpoint(types ...string) *models.WebhookEndpoint {
	w.t.Helper()
	e := &models.WebhookEndpoint{AppID: w.app.ID, EventTypes: strings.Join(types, ","), Secret: []byte{}, State: models.EndpointEnabled}
	w.must(w.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(e).Error }))
	return e
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) register(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		_, err := w.users.Register(ctx, w.app, users.Registration{ID: id, Name: "Name of " + id})
		w.must(err)
	}
}

// events returns the recorded events, the oldest first.
func (w *world) events() (list []*models.Event) {
	w.t.Helper()
	w.must(w.db.Read(ctx).Order("id").Find(&list).Error)
	return list
}

// forget deletes all events.
func (w *world) forget() {
	w.t.Helper()
	w.must(w.db.Exec(ctx, "DELETE FROM events"))
}

// recorded is the condition that an event is recorded for the endpoint of the world.
func (w *world) recorded() string { return fmt.Sprintf("recipients = '%d'", w.endpoint.ID) }

// rows returns the number of rows of a table that satisfy a condition.
func (w *world) rows(table, condition string, args ...any) (n int64) {
	w.t.Helper()
	w.must(w.db.Read(ctx).Table(table).Where(condition, args...).Count(&n).Error)
	return n
}

// data returns the value of `data` in the body of an event.
func (w *world) data(e *models.Event) string {
	w.t.Helper()
	var data outbox.Data
	var personal outbox.Personal
	w.must(json.Unmarshal([]byte(e.Data), &data))
	if e.Personal != nil {
		w.must(json.Unmarshal([]byte(*e.Personal), &personal))
	}
	text, err := json.Marshal(data.With(personal))
	w.must(err)
	return string(text)
}

// TestEvents_Bodies makes every kind of change and compares `data` of each event.
func TestEvents_Bodies(t *testing.T) {
	each(t, func(w *world) {
		var by models.Actor
		reason := "spam"
		name := "Anna"
		steps := []struct {
			name string
			do   func() error
			// want is the types and data of the events. VERSION and REQUEST stand for the version and
			// the ID of the request.
			want []string
		}{
			{"register", func() error {
				_, err := w.users.Register(ctx, w.app, users.Registration{ID: "ann", Name: "Ann", AvatarURL: "https://example.org/a.png"})
				return err
			}, []string{`user.registered {"user":{"id":"ann","version":VERSION,"state":"ACTIVE","name":"Ann","avatarUrl":"https://example.org/a.png"}}`}},
			{"register another", func() error {
				_, err := w.users.Register(ctx, w.app, users.Registration{ID: "bo", Name: "Bo"})
				return err
			}, []string{`user.registered {"user":{"id":"bo","version":VERSION,"state":"ACTIVE","name":"Bo"}}`}},
			{"update", func() error { _, err := w.users.Update(ctx, w.app, "ann", users.Change{Name: name}); return err },
				[]string{`user.updated {"user":{"id":"ann","version":VERSION,"state":"ACTIVE","name":"Anna","avatarUrl":"https://example.org/a.png"}}`}},
			{"request", func() error { _, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bo", nil); return err },
				[]string{`friend_request.received {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`}},
			{"cancel", func() error { return w.endRequest("ann", w.relations.CancelFriendRequest) },
				[]string{`friend_request.cancelled {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`}},
			{"request again", func() error { _, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bo", nil); return err },
				[]string{`friend_request.received {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`}},
			{"decline", func() error { return w.endRequest("bo", w.relations.DeclineFriendRequest) },
				[]string{`friend_request.declined {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`}},
			{"request a third time", func() error { _, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bo", nil); return err },
				[]string{`friend_request.received {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`}},
			{"befriend", func() error { _, err := w.relations.AddFriend(ctx, w.app, "bo", "ann", nil); return err }, []string{
				`friend_request.accepted {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"},"request":{"id":"REQUEST","fromId":"ann","toId":"bo"}}`,
				`friend.added {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"}}`,
				`friend.added {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"}}`}},
			{"remark", func() error { _, err := w.relations.SetFriendRemark(ctx, w.app, "ann", "bo", "Uncle"); return err },
				[]string{`friend.remark_changed {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"}}`}},
			{"unfriend", func() error { _, err := w.relations.RemoveFriend(ctx, w.app, "ann", "bo"); return err }, []string{
				`friend.removed {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"}}`,
				`friend.removed {"user":{"id":"bo","version":VERSION},"other":{"id":"ann"}}`}},
			{"block", func() error { _, err := w.relations.AddToBlocklist(ctx, w.app, "ann", []string{"bo"}); return err },
				[]string{`block.added {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"}}`}},
			{"unblock", func() error { _, err := w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"bo"}); return err },
				[]string{`block.removed {"user":{"id":"ann","version":VERSION},"other":{"id":"bo"}}`}},
			{"allow", func() error { _, err := w.relations.AddToWhitelist(ctx, w.app, "ann", []string{"bo"}); return err },
				[]string{`whitelist.changed {"user":{"id":"ann","version":VERSION},"whitelist":{"added":["bo"]}}`}},
			{"disallow", func() error { _, err := w.relations.RemoveFromWhitelist(ctx, w.app, "ann", []string{"bo"}); return err },
				[]string{`whitelist.changed {"user":{"id":"ann","version":VERSION},"whitelist":{"removed":["bo"]}}`}},
			{"whitelist on", func() error {
				_, err := w.relations.SetWhitelistEnabled(ctx, w.app, []string{"ann"}, true, by)
				return err
			},
				[]string{`whitelist.changed {"user":{"id":"ann","version":VERSION},"whitelist":{"enabled":true}}`}},
			{"whitelist off", func() error {
				_, err := w.relations.SetWhitelistEnabled(ctx, w.app, []string{"ann"}, false, by)
				return err
			}, []string{`whitelist.changed {"user":{"id":"ann","version":VERSION},"whitelist":{"enabled":false}}`}},
			{"subscribe", func() error { return w.subscribe("ann", "bo") },
				[]string{`subscriptions.changed {"user":{"id":"ann","version":VERSION},"subscriptions":{"added":["bo"]}}`}},
			{"subscribe again", func() error { return w.subscribe("ann", "bo") }, nil},
			{"unsubscribe", func() error { return w.unsubscribe("ann", "bo") },
				[]string{`subscriptions.changed {"user":{"id":"ann","version":VERSION},"subscriptions":{"removed":["bo"]}}`}},
			{"set the app", func() error {
				_, err := w.apps.Set(ctx, w.app.Key, map[string]string{"friendLimit": "7", "name": "app", "deviceLimit": "3"}, by)
				return err
			}, []string{`app.updated {"app":{"version":VERSION,"settings":["deviceLimit","friendLimit"]}}`}},
			{"set the same", func() error {
				_, err := w.apps.Set(ctx, w.app.Key, map[string]string{"friendLimit": "7"}, by)
				return err
			}, nil},
			{"rotate", func() error { _, _, err := w.apps.RotateSecret(ctx, w.app.Key, time.Hour, by); return err },
				[]string{`app.secret_rotated {"app":{"version":VERSION,"secret":{"previousEndsAt":"2026-09-21T15:13:20.000Z"}}}`}},
			{"rotate at once", func() error { _, _, err := w.apps.RotateSecret(ctx, w.app.Key, 0, by); return err },
				[]string{`app.secret_rotated {"app":{"version":VERSION,"secret":{"previousEndsAt":null}}}`}},
			{"expire tokens", func() error { _, err := w.users.ExpireTokens(ctx, w.app, []string{"ann"}, now, by); return err },
				[]string{`user.tokens_expired {"user":{"id":"ann","version":VERSION,"state":"ACTIVE"},"tokensValidFrom":"2026-09-21T14:13:20.000Z"}`}},
			{"ban", func() error {
				_, err := w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
				return err
			}, []string{`user.banned {"user":{"id":"ann","version":VERSION,"state":"BANNED"},"ban":{"until":"2026-09-21T15:13:20.000Z","reason":"spam"}}`}},
			{"ban for ever", func() error {
				_, err := w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Permanent: true}, by)
				return err
			}, []string{`user.banned {"user":{"id":"ann","version":VERSION,"state":"BANNED"},"ban":{"until":null}}`}},
			{"unban", func() error { _, err := w.users.Unban(ctx, w.app, []string{"ann"}, by); return err },
				[]string{`user.unbanned {"user":{"id":"ann","version":VERSION,"state":"ACTIVE"}}`}},
			{"deactivate", func() error { _, err := w.users.Deactivate(ctx, w.app, []string{"ann"}, by); return err },
				[]string{`user.deactivated {"user":{"id":"ann","version":VERSION,"state":"DEACTIVATED"}}`}},
			{"reactivate", func() error { _, err := w.users.Reactivate(ctx, w.app, []string{"ann"}, by); return err },
				[]string{`user.reactivated {"user":{"id":"ann","version":VERSION,"state":"ACTIVE"}}`}},
			{"delete", func() error { _, err := w.users.Delete(ctx, w.app, []string{"ann"}, by); return err },
				[]string{`user.deleted {"user":{"id":"ann","version":VERSION}}`}},
		}
		seen := map[outbox.Type]bool{}
		last := map[string]models.Time{}
		request := ""
		for _, step := range steps {
			before := len(w.events())
			w.must(step.do())
			var got []string
			for _, e := range w.events()[before:] {
				seen[outbox.Type(e.Type)] = true
				if e.Version <= last[e.Subject] || e.OccurredAt != now || e.AppID != w.app.ID {
					w.t.Errorf("%s: %+v after version %d", step.name, e, last[e.Subject])
				}
				last[e.Subject] = e.Version
				var data outbox.Data
				w.must(json.Unmarshal([]byte(e.Data), &data))
				if data.Request != nil {
					if e.Type == string(outbox.FriendRequestReceived) {
						request = data.Request.ID
					} else if data.Request.ID != request {
						w.t.Errorf("%s: the request is %s, want %s", step.name, data.Request.ID, request)
					}
				}
				// The personal values must not be in the part that stays after an erasure.
				for _, word := range []string{"Ann", "Bo", "a.png", "spam"} {
					if strings.Contains(e.Data, `"`+word) || strings.Contains(e.Data, "/"+word) {
						w.t.Errorf("%s: %s is stored in %s", step.name, word, e.Data)
					}
				}
				text := strings.Replace(w.data(e), fmt.Sprintf(`"version":%d`, e.Version), `"version":VERSION`, 1)
				if data.Request != nil {
					text = strings.Replace(text, data.Request.ID, "REQUEST", 1)
				}
				got = append(got, e.Type+" "+text)
			}
			if !slices.Equal(got, step.want) {
				w.t.Errorf("%s:\n%s\nwant\n%s", step.name, strings.Join(got, "\n"), strings.Join(step.want, "\n"))
			}
		}
		for _, kind := range outbox.Types() {
			if !seen[kind] && kind != outbox.PresenceChanged { // see presence_test.go
				w.t.Errorf("no step has an event %s", kind)
			}
		}
	})
}

// subscribe subscribes one user to the status of another, and unsubscribe ends that.
func (w *world) subscribe(owner, target string) error {
	_, err := w.subscriptions.Subscribe(ctx, w.app, w.user(owner), []string{target})
	return err
}

func (w *world) unsubscribe(owner, target string) error {
	_, err := w.subscriptions.Unsubscribe(ctx, w.app, w.user(owner), []string{target})
	return err
}

func (w *world) user(id string) *models.User {
	w.t.Helper()
	u, err := w.users.ByID(ctx, w.app.ID, id)
	w.must(err)
	return u
}

// endRequest ends the request between ann and bo, as one of them.
func (w *world) endRequest(id string, end func(context.Context, *models.App, string, string) (*relations.FriendRequest, error)) error {
	request, err := w.relations.RequestWith(ctx, w.app, w.user("ann"), "bo")
	w.must(err)
	_, err = end(ctx, w.app, id, request.ID)
	return err
}

var errRolledBack = errors.New("rolled back")

// TestWrite_IsOfTheTransaction: the events of a transaction that is rolled back are not recorded, and
// a change whose events cannot be recorded is not made.
func TestWrite_IsOfTheTransaction(t *testing.T) {
	testenv.NeedMariaDB(t) // TiDB has no triggers
	each(t, func(w *world) {
		w.register("ann", "bo")
		w.forget()
		box := outbox.New(w.db)
		recorded := false
		err := w.db.Tx(ctx, func(tx *gorm.DB) error {
			var err error
			recorded, err = box.Write(tx, w.app.ID, func() ([]outbox.Event, error) {
				return []outbox.Event{{Type: outbox.UserUnbanned, Subject: "ann", At: now}}, nil
			})
			w.must(err)
			return errRolledBack
		})
		if !errors.Is(err, errRolledBack) || !recorded || w.rows("events", "1 = 1") != 0 {
			w.t.Errorf("after a rollback: %v, recorded: %t, events: %v", err, recorded, w.events())
		}
		befriend := func(a, b string) error { _, err := w.relations.AddFriend(ctx, w.app, a, b, nil); return err }
		ban := func(a, _ string) error {
			_, err := w.users.Ban(ctx, w.app, []string{a}, users.Sentence{Permanent: true}, audit.AppServer)
			return err
		}
		for i, broken := range []struct {
			table string
			do    func(a, b string) error
		}{
			{"events", befriend},
			{"events", ban},
			{"audit_entries", ban},
			{"events", func(a, _ string) error {
				_, err := w.users.Register(ctx, w.app, users.Registration{ID: a + "-new", Name: "New"})
				return err
			}},
			{"events", func(a, _ string) error {
				_, err := w.users.Deactivate(ctx, w.app, []string{a}, audit.AppServer)
				return err
			}},
			{"events", func(a, b string) error {
				_, err := w.relations.AddToWhitelist(ctx, w.app, a, []string{b})
				return err
			}},
		} {
			a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
			w.register(a, b)
			w.forget()
			mend := w.breakInserts(broken.table)
			before := w.state()
			if err := broken.do(a, b); err == nil {
				w.t.Errorf("change %d succeeds without %s", i, broken.table)
			}
			if after := w.state(); after != before {
				w.t.Errorf("change %d without %s: %s, before: %s", i, broken.table, after, before)
			}
			mend()
			w.must(broken.do(a, b))
			if w.rows("events", w.recorded()) == 0 {
				w.t.Errorf("change %d has no event afterwards", i)
			}
		}
	})
}

// breakInserts makes every INSERT into a table fail until mend is called.
func (w *world) breakInserts(table string) (mend func()) {
	w.t.Helper()
	body := "SIGNAL SQLSTATE '45000'"
	if w.db.Dialect() == database.SQLite {
		body = "BEGIN SELECT RAISE(ABORT, 'broken'); END"
	}
	w.must(w.db.Exec(ctx, "CREATE TRIGGER broken BEFORE INSERT ON "+table+" FOR EACH ROW "+body))
	return func() { w.must(w.db.Exec(ctx, "DROP TRIGGER broken")) }
}

// state describes all rows that the changes of TestWrite_IsOfTheTransaction write.
func (w *world) state() string {
	w.t.Helper()
	var list []string
	for _, table := range []string{"events", "friendships", "whitelist_entries", "audit_entries"} {
		list = append(list, fmt.Sprint(table, " ", w.rows(table, "1 = 1")))
	}
	var rows []*models.User
	w.must(w.db.Read(ctx).Order("id").Find(&rows).Error)
	for _, u := range rows {
		list = append(list, fmt.Sprint(u.ExternalID, u.State(now), u.FriendCount, u.WhitelistCount))
	}
	return strings.Join(list, ", ")
}

// TestWrite_ManyEvents: an erasure can have more events than a statement can have values.
func TestWrite_ManyEvents(t *testing.T) {
	const friends = 4000 // SQLite allows 32 766 values in a statement, and an event has 10
	each(t, func(w *world) {
		w.register("ann")
		rows := make([]*models.User, friends)
		for i := range rows {
			rows[i] = &models.User{AppID: w.app.ID, ExternalID: fmt.Sprint("friend-", i), CreatedAt: 1, UpdatedAt: 1, Presence: models.PresenceUnlogined, FriendCount: 1}
		}
		ann, err := w.users.ByID(ctx, w.app.ID, "ann")
		w.must(err)
		w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
			if err := tx.CreateInBatches(rows, 1000).Error; err != nil {
				return err
			}
			var list []models.Friendship
			for _, u := range rows {
				list = append(list, models.Friendship{UserID: ann.ID, CreatedAt: 1, FriendID: u.ID}, models.Friendship{UserID: u.ID, CreatedAt: 1, FriendID: ann.ID})
			}
			return tx.CreateInBatches(list, 1000).Error
		}))
		w.forget()
		_, err = w.users.Deactivate(ctx, w.app, []string{"ann"}, audit.AppServer)
		w.must(err)
		if removed, all := w.rows("events", "type = ?", outbox.FriendRemoved), w.rows("events", w.recorded()); removed != friends || all != friends+1 {
			w.t.Errorf("%d events of friends of %d", removed, all)
		}
	})
}

// TestVersions_ConcurrentErasure: an erasure and a concurrent change of another party of its requests
// give different versions to that party's events.
func TestVersions_ConcurrentErasure(t *testing.T) {
	testenv.NeedMariaDB(t) // TiDB has no innodb_trx
	each(t, func(w *world) {
		if w.db.Dialect() == database.SQLite {
			w.t.Skip("SQLite has no concurrent transactions")
		}
		w.register("ann", "bo", "cy", "dee")
		_, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bo", nil)
		w.must(err)
		_, err = w.relations.SendFriendRequest(ctx, w.app, "cy", "ann", nil)
		w.must(err)
		ann, err := w.users.ByID(ctx, w.app.ID, "ann")
		w.must(err)
		other := w.node()
		done := make(chan error, 1)
		w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
			if _, err := w.relations.Erase(tx, []*models.User{ann}); err != nil {
				return err
			}
			go func() {
				_, err := other.AddFriend(ctx, w.app, "bo", "dee", nil)
				if err == nil {
					_, err = other.AddFriend(ctx, w.app, "cy", "dee", nil)
				}
				done <- err
			}()
			return w.awaitLock(done)
		}))
		w.must(<-done)
		versions := map[string]bool{}
		for _, e := range w.events() {
			name := fmt.Sprint(e.Subject, " ", e.Version)
			if versions[name] {
				w.t.Errorf("two events have the version %s", name)
			}
			versions[name] = true
		}
		for _, subject := range []string{"bo", "cy"} {
			if n := w.rows("events", "subject = ?", subject); n < 3 {
				w.t.Errorf("%d events about %s", n, subject)
			}
		}
	})
}

// awaitLock waits until a transaction waits for a lock, or until the other one has ended. InnoDB renews
// its list of transactions only if it has not been read for 100 ms.
func (w *world) awaitLock(done chan error) error {
	var name string
	if err := w.db.Read(ctx).Raw("SELECT DATABASE()").Scan(&name).Error; err != nil {
		return err
	}
	admin := testenv.Admin(w.t)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(110 * time.Millisecond) {
		if len(done) > 0 {
			return nil
		}
		var waiting int64
		err := admin.QueryRowContext(ctx, `SELECT COUNT(*) FROM information_schema.innodb_trx x
			JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
			WHERE x.trx_state = 'LOCK WAIT' AND p.db = ?`, name).Scan(&waiting)
		if err != nil || waiting > 0 {
			return err
		}
	}
	return errors.New("no transaction waits for a lock")
}

// TestErase erases names and reasons from delivered and undelivered events, and from responses, when
// a user is deactivated or deleted, and leaves those of others.
func TestErase(t *testing.T) {
	each(t, func(w *world) {
		reason := "spam of ann"
		for _, erase := range []struct {
			id string
			do func(ids []string) error
		}{
			{"ann", func(ids []string) error { _, err := w.users.Deactivate(ctx, w.app, ids, audit.AppServer); return err }},
			{"bo", func(ids []string) error {
				_, err := w.users.Delete(ctx, w.app, ids, models.Actor{Name: "op"})
				return err
			}},
		} {
			w.register(erase.id, "kept")
			_, err := w.users.Ban(ctx, w.app, []string{erase.id}, users.Sentence{Permanent: true, Reason: &reason}, audit.AppServer)
			w.must(err)
			w.must(w.db.Exec(ctx, "INSERT INTO deliveries (endpoint_id, event_id, state, next_attempt_at, last_error) "+
				"SELECT ?, id, CASE id % 2 WHEN 0 THEN 'DELIVERED' ELSE 'PENDING' END, 1, 'I cannot store Name of it' FROM events", w.endpoint.ID))
			w.must(erase.do([]string{erase.id}))
			if n := w.rows("events", "subject = ? AND (personal IS NOT NULL OR data LIKE '%Name%' OR data LIKE '%spam%')", erase.id); n != 0 {
				w.t.Errorf("%d events have personal values of %s", n, erase.id)
			}
			if n := w.rows("events", "subject = ?", erase.id); n != 3 {
				w.t.Errorf("%d events about %s", n, erase.id)
			}
			left := `last_error IS NOT NULL AND event_id IN (SELECT id FROM events WHERE subject = ?)`
			if n := w.rows("deliveries", left, erase.id); n != 0 {
				w.t.Errorf("%d responses about %s", n, erase.id)
			}
			if w.rows("deliveries", left, "kept") == 0 || w.rows("events", "subject = 'kept' AND personal IS NOT NULL") == 0 {
				w.t.Error("another user's values are erased")
			}
		}
	})
}
