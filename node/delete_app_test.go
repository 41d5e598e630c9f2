package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// ofNoApp has the tables whose rows belong to no app.
var ofNoApp = map[string]bool{
	"apps":          true, // checked by itself
	"audit_entries": true, // which stay
	"audit_chains":  true,
	"operators":     true, "operator_invitations": true, "operator_sessions": true, "operator_totps": true, "operator_session_ends": true,
	"operator_recovery_codes": true, "operator_pending_logins": true, "operator_passkeys": true, "operator_keys": true, "operator_challenges": true,
	"sealed_values": true, "token_keys": true, "connection_nodes": true, "service_nodes": true, "replica_heartbeats": true,
	"goose_db_version": true,
}

// deletionWorld is a node with a way to fill apps.
type deletionWorld struct {
	*Node
	t  *testing.T
	db *database.DB
}

func newDeletionWorld(t *testing.T, db *database.DB) *deletionWorld {
	t.Helper()
	n, err := New(t.Context(), Config{DB: db, Logger: slog.New(slog.DiscardHandler), Clock: time.Now, WebhookAllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return &deletionWorld{n, t, db}
}

func (w *deletionWorld) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// tables returns the number of rows of each table.
func (w *deletionWorld) tables() map[string]int64 {
	w.t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if w.db.Dialect() == database.MySQL {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	}
	var names []string
	w.must(nil, w.db.Read(w.t.Context()).Raw(query).Scan(&names).Error)
	counts := make(map[string]int64, len(names))
	for _, name := range names {
		var n int64
		w.must(nil, w.db.Read(w.t.Context()).Table(name).Count(&n).Error)
		counts[name] = n
	}
	return counts
}

// fill creates a DEVELOPMENT app with everything that an app can have.
func (w *deletionWorld) fill(name string, n int) *models.App {
	w.t.Helper()
	ctx, by := w.t.Context(), models.Actor{Name: "test"}
	app, _, err := w.Apps.Create(ctx, apps.NewApp{Name: name, Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, by)
	w.must(app, err)
	w.must(w.Apps.Set(ctx, app.Key, map[string]string{"statusQueryEnabled": "true"}, by))
	if app, err = w.Apps.ByKey(ctx, app.Key); err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		w.must(w.Users.Register(ctx, app, users.Registration{ID: fmt.Sprint("user", i), Name: "User"}))
	}
	w.must(w.Relations.AddFriend(ctx, app, "user0", "user1", nil))
	w.must(w.Relations.SendFriendRequest(ctx, app, "user0", "user4", nil))
	w.must(w.Relations.AddToBlocklist(ctx, app, "user0", []string{"user2"}))
	w.must(w.Relations.AddToWhitelist(ctx, app, "user0", []string{"user1"}))
	u, err := w.Users.ByID(ctx, app.ID, "user0")
	w.must(u, err)
	w.must(w.Subscriptions.Subscribe(ctx, app, u, []string{"user1"}))
	w.must(w.Users.Ban(ctx, app, []string{"user1"}, users.Sentence{Length: time.Minute}, by))
	w.must(w.Users.Deactivate(ctx, app, []string{"user3"}, by))
	w.must(w.Users.AddNote(ctx, app, "user0", "a note", by))
	endpoint, _, err := w.Webhooks.Create(ctx, app, webhooks.NewEndpoint{URL: "http://127.0.0.1:1/"}, by)
	w.must(endpoint, err)
	_, err = w.Operators.Create(ctx, "of "+name, models.Grant{Role: models.RoleAdmin, AppIDs: models.IDs{app.ID}}, "", by)
	w.must(nil, err)
	w.must(nil, w.db.Tx(ctx, func(tx *gorm.DB) error {
		for _, row := range []any{
			&models.Event{UID: name, AppID: app.ID, Type: "user.banned", Subject: "user1"},
			&models.EventUser{AppID: app.ID, Subject: "user1"},
			&models.EventFeed{AppID: app.ID},
			&models.Delivery{EndpointID: endpoint.ID, EventID: 1, State: models.DeliveryPending},
			&models.WebhookHour{EndpointID: endpoint.ID, BeginsAt: 1},
			&models.Job{AppID: app.ID, Kind: models.JobBan, State: models.JobDone},
			&models.AppFigures{AppID: app.ID, Span: 1, BeginsAt: 1},
			&models.AppConnection{ID: app.ID, AppID: app.ID, NodeID: 1},
			&models.UserCountPart{AppID: app.ID, Part: 1},
		} {
			if err := tx.Create(row).Error; err != nil {
				return fmt.Errorf("%T: %w", row, err)
			}
		}
		return nil
	}))
	return app
}

// remove disables the app and begins to delete it.
func (w *deletionWorld) remove(app *models.App) {
	w.t.Helper()
	_, _, err := w.Apps.Disable(w.t.Context(), app.Key, models.Actor{Name: "test"})
	w.must(nil, err)
	w.must(w.Apps.Delete(w.t.Context(), app.Key, app.Name, models.Actor{Name: "test"}))
}

// grown returns the tables that have more rows now than before, except those of ofNoApp.
func grown(before, now map[string]int64) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if now[name] > before[name] && !ofNoApp[name] {
			names = append(names, name)
		}
	}
	return names
}

// TestDeleteApp_LeavesNothing deletes an app that has rows in every table that can have rows of an app,
// beside another such app.
func TestDeleteApp_LeavesNothing(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newDeletionWorld(t, db)
		stays := w.fill("stays", 5)
		before := w.tables()
		app := w.fill("goes", 5)
		filled := w.tables()
		for name := range filled {
			if filled[name] <= before[name] && !ofNoApp[name] {
				t.Errorf("fill has no row for the table %s", name)
			}
		}
		w.remove(app)
		w.must(nil, w.Apps.CompleteDeletions(t.Context()))
		after := w.tables()
		if names := grown(before, after); len(names) > 0 {
			t.Errorf("rows are left in %q", names)
		}
		for name, n := range before {
			if after[name] < n {
				t.Errorf("%d of %d rows of another app are left in %s", after[name], n, name)
			}
		}
		if found, err := w.Apps.ByKey(t.Context(), app.Key); found != nil || err != nil {
			t.Errorf("the app is left: %v, %v", found, err)
		}
		list, err := w.Operators.List(t.Context())
		w.must(list, err)
		for _, o := range list {
			if o.Covers(app.ID) || o.Covers(stays.ID) != (o.Name == "of stays") {
				t.Errorf("%s is for the apps %v", o.Name, o.AppIDs)
			}
		}
		var entries int64
		w.must(nil, db.Read(t.Context()).Model(&models.AuditEntry{}).
			Where("app_id = ? AND action IN ?", app.ID, []string{audit.ActionAppCreate, audit.ActionAppDelete, audit.ActionUserBan}).Count(&entries).Error)
		if entries != 3 {
			t.Errorf("%d entries are left of 3", entries)
		}
	})
}

// TestDeleteApp_Interrupted ends the deletion of an app after each number of deleting statements. The
// app is never usable in between, and another node and a command complete the deletion together.
func TestDeleteApp_Interrupted(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newDeletionWorld(t, db)
		before := w.tables()
		app := w.fill("goes", 60)
		w.remove(app)
		var left atomic.Int64
		var end context.CancelFunc
		w.must(nil, db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Callback().Delete().After("gorm:delete").Register("test:interrupt", func(*gorm.DB) {
				if left.Add(-1) == 0 {
					end()
				}
			})
		}))
		interrupted := 0
		for n := int64(1); n <= 8; n++ {
			var ctx context.Context
			ctx, end = context.WithCancel(t.Context())
			left.Store(n)
			err := w.Apps.CompleteDeletions(ctx)
			end()
			if err != nil {
				interrupted++
			}
			found, err := w.Apps.ByKey(t.Context(), app.Key)
			w.must(found, err)
			if found == nil {
				break
			}
			if _, _, err := w.Apps.Enable(t.Context(), app.Key, models.Actor{}); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("after %d statements the app was enabled: %v", n, err)
			}
			if _, err := w.Apps.Set(t.Context(), app.Key, map[string]string{"name": "other"}, models.Actor{}); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("after %d statements the app was changed: %v", n, err)
			}
			if _, _, err := w.Apps.RotateSecret(t.Context(), app.Key, 0, models.Actor{}); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("after %d statements the secret was rotated: %v", n, err)
			}
		}
		if interrupted == 0 {
			t.Error("no deletion was interrupted")
		}
		left.Store(1 << 40)
		done := make(chan error, 2)
		for _, rules := range []*apps.Service{newDeletionWorld(t, db).Apps, Offline(db, time.Now).Apps} {
			go func() { done <- rules.CompleteDeletions(t.Context()) }()
		}
		for range 2 {
			w.must(nil, <-done)
		}
		if names := grown(before, w.tables()); len(names) > 0 {
			t.Errorf("rows are left in %q", names)
		}
	})
}

func TestDeleteApp_Refusals(t *testing.T) {
	w := newDeletionWorld(t, testenv.Open(t, testenv.SQLiteURL(t)))
	ctx, by := t.Context(), models.Actor{Name: "test"}
	app, _, err := w.Apps.Create(ctx, apps.NewApp{Name: "live", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, by)
	w.must(app, err)
	w.must(w.Users.Register(ctx, app, users.Registration{ID: "ann", Name: "Ann"}))
	want := func(name string, code fault.Code, words string) {
		t.Helper()
		if _, err := w.Apps.Delete(ctx, app.Key, name, by); fault.CodeOf(err) != code || !strings.Contains(fmt.Sprint(err), words) {
			t.Errorf("%v, want %s with %q", err, code, words)
		}
	}
	want("live", fault.Forbidden, "disable the app")
	_, _, err = w.Apps.Disable(ctx, app.Key, by)
	w.must(nil, err)
	want("lively", fault.InvalidArgument, `"live"`)
	w.must(w.Users.Deactivate(ctx, app, []string{"ann"}, by))
	want("live", fault.Forbidden, "with users")
	w.must(nil, w.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Where("1 = 1").Delete(&models.User{}).Error }))
	want("live", "", "")
	want("live", "", "") // again, which changes nothing
	w.must(nil, w.Apps.CompleteDeletions(ctx))
	if found, err := w.Apps.Delete(ctx, app.Key, "live", by); found != nil || err != nil {
		t.Errorf("a deleted app: %v, %v", found, err)
	}
}
