package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var ctx = context.Background()

// world is a Presence on a database with an app and users u0, u1 ….
type world struct {
	*Presence
	t     *testing.T
	db    *database.DB
	app   *models.App
	users []*models.User
	woken atomic.Int64
}

func each(t *testing.T, users int, test func(w *world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, app: &models.App{
			Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
			SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
		}}
		w.change(func(tx *gorm.DB) error {
			if err := tx.Create(w.app).Error; err != nil {
				return err
			}
			for i := range users {
				w.users = append(w.users, &models.User{AppID: w.app.ID, ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1})
			}
			return tx.CreateInBatches(w.users, 500).Error
		})
		w.node()
		test(w)
	})
}

// node makes the world's Presence that of a new process.
func (w *world) node() {
	w.Presence = NewPresence(w.db, time.Now, slog.New(slog.DiscardHandler), func(context.Context) { w.woken.Add(1) })
	w.Presence.wait = time.Hour // only full events are due
}

func (w *world) change(fn func(tx *gorm.DB) error) {
	w.t.Helper()
	if err := w.db.Tx(ctx, fn); err != nil {
		w.t.Fatal(err)
	}
}

// endpoint creates an endpoint that receives these types, or all.
func (w *world) endpoint(types ...string) *models.WebhookEndpoint {
	w.t.Helper()
	e := &models.WebhookEndpoint{
		AppID: w.app.ID, URL: "https://example.org", EventTypes: strings.Join(types, ","), Format: models.FormatRollcall,
		Secret: []byte{1}, State: models.EndpointEnabled, CreatedAt: 1,
	}
	w.change(func(tx *gorm.DB) error { return tx.Create(e).Error })
	return e
}

// start starts the Presence.
func (w *world) start() {
	w.t.Helper()
	if err := w.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.Close(ctx) })
}

// note notes a change of the user with that number.
func (w *world) note(i int, to models.Presence, custom string, at models.Time) {
	w.Note(w.app.ID, w.users[i].ID, models.UserStatus{UserID: w.users[i].ExternalID, Presence: to, CustomStatus: custom, ChangedAt: &at})
}

// events returns the changes in the events that are recorded, in their order.
func (w *world) events() (list [][]PresenceChange) {
	w.t.Helper()
	var rows []*models.Event
	if err := w.db.Read(ctx).Where("type = ?", PresenceChanged).Order("id").Find(&rows).Error; err != nil {
		w.t.Fatal(err)
	}
	for _, row := range rows {
		data, err := Complete(Type(row.Type), row.Data, row.Personal)
		var changes []PresenceChange
		if err == nil {
			err = json.Unmarshal(data, &changes)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, changes)
	}
	return list
}

// recipients returns how many events are recorded for an endpoint.
func (w *world) recipients(e *models.WebhookEndpoint) (n int64) {
	w.t.Helper()
	if err := w.db.Read(ctx).Model(&models.Event{}).Where("recipients = ?", fmt.Sprint(e.ID)).Count(&n).Error; err != nil {
		w.t.Fatal(err)
	}
	return n
}

// closes ends the Presence, which records what waits.
func (w *world) closes() {
	w.t.Helper()
	if err := w.Close(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func TestPresence_CoalescesAndFlushesAtTheEnd(t *testing.T) {
	each(t, 3, func(w *world) {
		chosen := w.endpoint("user.banned", string(PresenceChanged))
		all := w.endpoint()
		w.start()
		w.note(0, models.PresenceOnline, "", 1_790_000_000_000)
		w.note(1, models.PresenceOnline, "", 1_790_000_000_001)
		w.note(0, models.PresenceOffline, "", 1_790_000_000_002)
		w.note(0, models.PresenceOnline, "at <home>", 1_790_000_000_004)
		w.note(0, models.PresenceOffline, "", 1_790_000_000_003) // overtaken
		w.note(2, models.PresenceUnlogined, "", 1_790_000_000_005)
		if got := w.events(); got != nil {
			w.t.Errorf("recorded too early: %v", got)
		}
		w.closes()
		want := [][]PresenceChange{{
			{"u0", "ONLINE", "at <home>", "2026-09-21T14:13:20.004Z", 1_790_000_000_004},
			{"u1", "ONLINE", "", "2026-09-21T14:13:20.001Z", 1_790_000_000_001},
			{"u2", "UNLOGINED", "", "2026-09-21T14:13:20.005Z", 1_790_000_000_005},
		}}
		if got := w.events(); !slices.EqualFunc(got, want, slices.Equal) {
			w.t.Errorf("the events are\n%v, want\n%v", got, want)
		}
		if n, none := w.recipients(chosen), w.recipients(all); n != 1 || none != 0 || w.woken.Load() != 1 {
			w.t.Errorf("%d events for the endpoint that has chosen the type, %d for the one that receives all others; woken %d times", n, none, w.woken.Load())
		}
	})
}

// TestPresence_InTheFeed: the feed has changes of statuses only if both settings are on.
func TestPresence_InTheFeed(t *testing.T) {
	each(t, 1, func(w *world) {
		for i, test := range []struct{ feed, presence, want bool }{{true, false, false}, {false, true, false}, {true, true, true}} {
			w.change(func(tx *gorm.DB) error {
				return tx.Model(w.app).Updates(map[string]any{"event_feed_enabled": test.feed, "presence_feed_enabled": test.presence}).Error
			})
			w.node()
			w.start()
			w.note(0, models.PresenceOnline, "", models.Time(1_790_000_000_000+i))
			w.closes()
			var numbers []int64
			if err := w.db.Read(ctx).Model(&models.Event{}).Pluck("feed_number", &numbers).Error; err != nil {
				w.t.Fatal(err)
			}
			if found := slices.Equal(numbers, []int64{models.NotNumbered}); found != test.want || !found && len(numbers) > 0 {
				w.t.Errorf("%+v: the numbers of the events are %v", test, numbers)
			}
		}
	})
}

func TestPresence_FullEventsDoNotWait(t *testing.T) {
	each(t, 2*PresenceBatch+1, func(w *world) {
		w.endpoint(string(PresenceChanged))
		w.start()
		for i := range w.users {
			w.note(i, models.PresenceOnline, "", models.Time(1_790_000_000_000+i))
		}
		for end := time.Now().Add(20 * time.Second); w.woken.Load() == 0 || len(w.events()) < 2; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				w.t.Fatalf("%d events", len(w.events()))
			}
		}
		w.closes()
		var sizes []int
		seen := make(map[string]bool)
		for _, changes := range w.events() {
			sizes = append(sizes, len(changes))
			for _, c := range changes {
				seen[c.UserID] = true
			}
		}
		if !slices.Equal(sizes, []int{PresenceBatch, PresenceBatch, 1}) || len(seen) != len(w.users) {
			w.t.Errorf("events of %d changes of %d users", sizes, len(seen))
		}
	})
}

func TestPresence_WaitsForASecond(t *testing.T) {
	each(t, 1, func(w *world) {
		w.endpoint(string(PresenceChanged))
		w.wait = 20 * time.Millisecond
		w.start()
		w.note(0, models.PresenceOnline, "", 1_790_000_000_000)
		for end := time.Now().Add(20 * time.Second); len(w.events()) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				w.t.Fatal("nothing is recorded")
			}
		}
	})
}

// TestPresence_WantsFollowsEndpoints: only an endpoint that names the type makes an app's changes
// wanted, also if it is created while the node runs.
func TestPresence_WantsFollowsEndpoints(t *testing.T) {
	each(t, 1, func(w *world) {
		w.endpoint()
		w.endpoint(string(UserBanned))
		w.refreshing = 10 * time.Millisecond
		w.start()
		if w.Wants(w.app.ID) {
			w.t.Error("wanted by endpoints that did not choose it")
		}
		w.endpoint(string(PresenceChanged))
		for end := time.Now().Add(20 * time.Second); !w.Wants(w.app.ID); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				w.t.Fatal("not wanted by an endpoint that has chosen it")
			}
		}
		if w.Wants(w.app.ID + 1) {
			w.t.Error("wanted for an app without an endpoint")
		}
	})
}

// TestPresence_RetriesWhatFails: while the database refuses events, changes wait, and newer ones of
// their users replace them.
func TestPresence_RetriesWhatFails(t *testing.T) {
	each(t, 2, func(w *world) {
		w.endpoint(string(PresenceChanged))
		if err := w.refresh(); err != nil {
			w.t.Fatal(err)
		}
		w.note(0, models.PresenceOnline, "", 1_790_000_000_000)
		w.note(1, models.PresenceOnline, "", 1_790_000_000_000)
		b := w.take(true)
		w.note(0, models.PresenceOffline, "", 1_790_000_000_001)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := w.record(ended, b); !errors.Is(err, context.Canceled) {
			w.t.Errorf("recording without a database: %v", err)
		}
		w.putBack(b)
		if err := w.flush(ctx, true); err != nil {
			w.t.Fatal(err)
		}
		got := w.events()
		if len(got) != 1 || len(got[0]) != 2 {
			w.t.Fatalf("the events are %v", got)
		}
		for _, c := range got[0] {
			if want := map[string]string{"u0": "OFFLINE", "u1": "ONLINE"}[c.UserID]; c.Presence != want {
				w.t.Errorf("%s is %s, want %s", c.UserID, c.Presence, want)
			}
		}
	})
}

// TestPresence_BoundsWhatWaits: if too many users wait, only changes of those that wait are accepted.
func TestPresence_BoundsWhatWaits(t *testing.T) {
	log := &testenv.Log{}
	p := NewPresence(testenv.Open(t, testenv.SQLiteURL(t)), time.Now, slog.New(slog.NewTextHandler(log, nil)), nil)
	at := models.Time(1)
	for i := range int64(presenceUsers + 2) {
		p.Note(1, i, models.UserStatus{UserID: "u", ChangedAt: &at})
	}
	later := models.Time(2)
	p.Note(1, 7, models.UserStatus{UserID: "u", Presence: models.PresenceOnline, ChangedAt: &later})
	w := p.waiting[1]
	if len(w.order) != presenceUsers || len(w.newest) != presenceUsers || w.newest[7].Presence != models.PresenceOnline {
		t.Errorf("%d users wait, one with %v", len(w.order), w.newest[7])
	}
	if text := log.String(); strings.Count(text, "are lost") != 1 {
		t.Errorf("the log: %s", text)
	}
}

// TestErase_CustomStatuses erases a user from events that are recorded, and one that is deactivated
// before its change is.
func TestErase_CustomStatuses(t *testing.T) {
	each(t, 4, func(w *world) {
		e := w.endpoint(string(PresenceChanged))
		w.start()
		const text = "sold snake oil"
		w.note(0, models.PresenceOnline, text+" 0", 1_790_000_000_000)
		w.note(1, models.PresenceOnline, text+" 1", 1_790_000_000_000)
		w.note(2, models.PresenceOnline, text+" 2", 1_790_000_000_000)
		gone := models.Time(5)
		w.change(func(tx *gorm.DB) error {
			if err := tx.Model(w.users[2]).Update("deactivated_at", gone).Error; err != nil {
				return err
			}
			return Erase(tx, w.app.ID, []string{"u2"})
		})
		w.closes()
		w.change(func(tx *gorm.DB) error {
			return tx.Model(&models.Delivery{}).Where("endpoint_id = ?", e.ID).Update("last_error", text).Error
		})
		w.change(func(tx *gorm.DB) error { return Erase(tx, w.app.ID, []string{"u0", "u3"}) })
		want := []string{"u0 ", "u1 " + text + " 1", "u2 "}
		var got []string
		for _, c := range w.events()[0] {
			got = append(got, c.UserID+" "+c.CustomStatus)
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("the custom statuses are %q, want %q", got, want)
		}
		count := func(table any, where string) (n int64) {
			if err := w.db.Read(ctx).Model(table).Where(where).Count(&n).Error; err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		if users, errs := count(&models.EventUser{}, "app_id > 0"), count(&models.Delivery{}, "last_error IS NOT NULL"); users != 1 || errs != 0 {
			w.t.Errorf("%d users of events and %d responses are left", users, errs)
		}
		w.change(func(tx *gorm.DB) error { return Erase(tx, w.app.ID, []string{"u1"}) })
		if n := count(&models.Event{}, "personal IS NOT NULL"); n != 0 {
			w.t.Errorf("%d events have personal values after all users are erased", n)
		}
	})
}
