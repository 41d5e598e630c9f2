package presence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestConnectIsDurable(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		w.wantPresence(0, models.PresenceUnlogined)
		d, _ := w.connect(0)
		row, shown := w.row(0), w.StatusOf(w.users[0])
		if row.Presence != models.PresenceOnline || *row.PresenceAt != *shown.ChangedAt {
			t.Fatalf("the row holds %s since %v, want ONLINE since %v", row.Presence, row.PresenceAt, shown.ChangedAt)
		}
		if shown.Presence != models.PresenceOnline || shown.UserID != "u0" || shown.CustomStatus != "" {
			t.Fatalf("the status is %+v", shown)
		}
		if got := w.Devices(w.users[0].ID); len(got) != 1 || got[0] != d.Info() || len(got[0].ID) != status.DeviceIDLength || got[0].Platform != models.PlatformWeb {
			t.Fatalf("the devices are %+v", got)
		}
		if d.Account().ExternalID != "u0" {
			t.Fatalf("the device's account is %+v", d.Account())
		}
	})
}

func TestClosingOneOfTwoDevicesKeepsOnline(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		first, _ := w.connect(0)
		second, _ := w.connect(0)
		first.Gone()
		first.Gone()
		w.wantPresence(0, models.PresenceOnline)
		if n := w.OnlineCount(w.app.ID); n != 1 {
			t.Fatalf("%d users are online, want 1", n)
		}
		if n := w.DeviceCount(); n != 1 {
			t.Fatalf("%d devices are connected, want 1", n)
		}
		second.Gone()
		w.wantPresence(0, models.PresenceOffline)
		w.wantRow(0, models.PresenceOffline)
		if n := w.OnlineCount(w.app.ID); n != 0 {
			t.Fatalf("%d users are online, want 0", n)
		}
		w.delivered()
		seen.want(t, "u0:ONLINE u0:OFFLINE")
	})
}

func TestQuickReconnectEndsOnline(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		d, _ := w.connect(0)
		for range 50 {
			d.Gone()
			d, _ = w.connect(0)
		}
		w.written()
		w.wantPresence(0, models.PresenceOnline)
		w.wantRow(0, models.PresenceOnline)
	})
}

func TestLogout(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		durable := func(want models.Presence) {
			t.Helper()
			w.wantPresence(0, want)
			if got := w.row(0).Presence; got != want {
				t.Fatalf("the row holds %s after Logout returned, want %s", got, want)
			}
		}

		logout := func(own *status.Device, all bool, want int) {
			t.Helper()
			if n := w.logout(0, own, all); n != want {
				t.Errorf("%d devices were logged out, want %d", n, want)
			}
		}

		first, firstLink := w.connect(0)
		second, secondLink := w.connect(0)
		logout(first, false, 1)
		durable(models.PresenceOnline)
		logout(second, false, 1)
		durable(models.PresenceUnlogined)
		first.Gone()
		second.Gone()
		durable(models.PresenceUnlogined)
		firstLink.want(t)
		secondLink.want(t)
		if !first.LoggedOut() || !second.LoggedOut() {
			t.Fatal("the devices do not report that they are logged out")
		}

		first, firstLink = w.connect(0)
		_, secondLink = w.connect(0)
		logout(first, true, 2)
		durable(models.PresenceUnlogined)
		firstLink.want(t)
		secondLink.want(t, status.ReasonLoggedOut)

		first, firstLink = w.connect(0)
		logout(nil, false, 1)
		durable(models.PresenceUnlogined)
		firstLink.want(t, status.ReasonLoggedOut)
		if !first.LoggedOut() {
			t.Fatal("the device does not report that it is logged out")
		}

		first, _ = w.connect(0)
		first.Gone()
		w.wantRow(0, models.PresenceOffline)
		logout(nil, false, 0)
		durable(models.PresenceUnlogined)
		logout(nil, true, 0)
		durable(models.PresenceUnlogined)

		w.delivered()
		seen.want(t, "u0:ONLINE u0:UNLOGINED u0:ONLINE u0:UNLOGINED u0:ONLINE u0:UNLOGINED u0:ONLINE u0:OFFLINE u0:UNLOGINED")
	})
}

// A hub that does not know a user takes the user's previous status from the row.
func TestLogoutAfterRestart(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		d, _ := w.connect(0)
		d.Gone()
		w.closeHub(w.Hub)
		w.start()
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		w.logout(0, nil, false)
		w.logout(1, nil, false)
		if row := w.row(0); row.Presence != models.PresenceUnlogined || row.PresenceAt == nil {
			t.Fatalf("the row holds %s since %v", row.Presence, row.PresenceAt)
		}
		if row := w.row(1); row.Presence != models.PresenceUnlogined || row.PresenceAt != nil {
			t.Fatalf("the row of a user that never logged in holds %s since %v", row.Presence, row.PresenceAt)
		}
		w.delivered()
		seen.want(t, "u0:UNLOGINED")
	})
}

func TestDisconnect(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		first, firstLink := w.connect(0)
		second, secondLink := w.connect(0)
		_, thirdLink := w.connect(0)
		acc := w.account(0)
		ids := []string{second.Info().ID, second.Info().ID, "unknown"}
		if n := w.Disconnect(context.Background(), acc, ids); n != 1 {
			t.Fatalf("%d devices were disconnected, want 1", n)
		}
		w.wantPresence(0, models.PresenceOnline)
		secondLink.want(t, status.ReasonDisconnected)
		if n := w.Disconnect(context.Background(), acc, nil); n != 2 {
			t.Fatalf("%d devices were disconnected, want 2", n)
		}
		w.wantPresence(0, models.PresenceOffline)
		first.Gone()
		firstLink.want(t, status.ReasonDisconnected)
		thirdLink.want(t, status.ReasonDisconnected)
		if n := w.Disconnect(context.Background(), w.account(1), nil); n != 0 {
			t.Fatalf("%d devices of a user without devices were disconnected", n)
		}
		w.wantPresence(1, models.PresenceUnlogined)
		if got, want := w.audited(), []string{
			"op user.disconnect u0 devices=3", "op user.disconnect u0 ", "op user.disconnect u1 ",
		}; !slices.Equal(got, want) {
			t.Errorf("audit %q, want %q", got, want)
		}
	})
}

// audited returns the audit, one string for each entry.
func (w *world) audited() (lines []string) {
	w.t.Helper()
	var entries []models.AuditEntry
	if err := w.db.Read(context.Background()).Order("id").Find(&entries).Error; err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.AppID == nil || *e.AppID != w.app.ID || e.At == 0 || e.At > w.now() || e.Address != operator.Address {
			w.t.Errorf("entry %+v", e)
		}
		lines = append(lines, strings.Join([]string{e.Actor, e.Action, e.Target, e.Detail}, " "))
	}
	return lines
}

// TestDisconnect_NoneWithoutAudit: devices are not cut if the audit entry cannot be written.
func TestDisconnect_NoneWithoutAudit(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		w.connect(0)
		err := w.db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Migrator().RenameTable("audit_entries", "elsewhere") })
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Hub.Disconnect(context.Background(), w.account(0), nil, operator); n != 0 || err == nil {
			t.Errorf("%d devices were disconnected, %v", n, err)
		}
		w.wantPresence(0, models.PresenceOnline)
	})
}

func TestAccessRevoked(t *testing.T) {
	for _, test := range []struct {
		reason bus.Reason
		cut    status.Reason
		want   models.Presence
		events string
	}{
		{bus.ReasonBanned, status.ReasonBanned, models.PresenceOffline, "u0:ONLINE u0:OFFLINE"},
		{bus.ReasonDeactivated, status.ReasonDeactivated, models.PresenceUnlogined, "u0:ONLINE u0:UNLOGINED"},
		{bus.ReasonDeleted, status.ReasonDeleted, models.PresenceUnlogined, "u0:ONLINE u0:UNLOGINED"},
	} {
		t.Run(string(test.reason), func(t *testing.T) {
			testenv.Each(t, func(t *testing.T, db *database.DB) {
				w := newWorld(t, db, 2)
				seen := new(recorder)
				w.WatchApp(w.app.ID, seen)
				first, firstLink := w.connect(0)
				_, secondLink := w.connect(0)
				revoked := bus.AccessRevoked{User: w.users[0], Reason: test.reason}
				w.bus.PublishAccessRevoked(context.Background(), revoked)
				firstLink.want(t, test.cut)
				secondLink.want(t, test.cut)
				if n := len(w.Devices(w.users[0].ID)); n != 0 {
					t.Fatalf("%d devices remain", n)
				}
				first.Gone()
				revoked.User = w.users[1] // a user that is not connected
				w.bus.PublishAccessRevoked(context.Background(), revoked)
				w.delivered()
				seen.want(t, test.events)
				if test.reason == bus.ReasonDeleted {
					if _, there := w.stats().devices[w.users[0].ID]; there {
						t.Fatal("the entry of a deleted user remains")
					}
					return
				}
				w.wantPresence(0, test.want)
				w.wantRow(0, test.want)
			})
		})
	}
}

// While a login is still being written it is not visible, and a revocation ends it.
func TestRevokedDuringLogin(t *testing.T) {
	for _, reason := range []bus.Reason{bus.ReasonBanned, bus.ReasonDeactivated, bus.ReasonDeleted} {
		t.Run(string(reason), func(t *testing.T) {
			testenv.Each(t, func(t *testing.T, db *database.DB) {
				w := newWorld(t, db, 1)
				seen := new(recorder)
				w.WatchApp(w.app.ID, seen)
				acc, l := w.account(0), new(link)
				release := w.hold(0)
				defer release()
				connected := make(chan error, 1)
				go func() {
					_, err := w.Connect(context.Background(), acc, models.PlatformIOS, l, allowed)
					connected <- err
				}()
				w.eventually(func() bool { return w.devicesOf(0) == 1 }, "the device")
				w.wantPresence(0, models.PresenceUnlogined)
				w.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: &models.User{ID: acc.ID, AppID: acc.AppID, ExternalID: acc.ExternalID}, Reason: reason})
				if len(l.reasons) != 1 {
					t.Fatal("the link was not cut")
				}
				release()
				if err := <-connected; err != nil {
					t.Fatal(err)
				}
				if w.devicesOf(0) != 0 || len(w.Devices(acc.ID)) != 0 {
					t.Fatal("the device remains")
				}
				w.written()
				w.delivered()
				seen.want(t, "")
				if reason != bus.ReasonDeleted {
					w.wantRow(0, models.PresenceUnlogined)
				}
			})
		})
	}
}

func TestConnectUndoneWhenContextEnds(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		acc := w.account(0)
		release := w.hold(0)
		defer release()
		ctx, cancel := context.WithCancel(context.Background())
		connected := make(chan error, 1)
		go func() {
			_, err := w.Connect(ctx, acc, models.PlatformIOS, new(link), allowed)
			connected <- err
		}()
		w.eventually(func() bool { return w.devicesOf(0) == 1 }, "the device")
		cancel()
		if err := <-connected; !errors.Is(err, context.Canceled) {
			t.Fatalf("Connect returned %v", err)
		}
		if w.devicesOf(0) != 0 {
			t.Fatal("the device remains")
		}
		release()
		w.written()
		if row := w.row(0); row.Presence != models.PresenceUnlogined || row.PresenceAt != nil {
			t.Fatalf("the row holds %s since %v", row.Presence, row.PresenceAt)
		}
		w.delivered()
		seen.want(t, "")
	})
}

func TestConnectAfterClose(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		acc := w.account(0)
		w.closeHub(w.Hub)
		if _, err := w.Connect(context.Background(), acc, models.PlatformWeb, new(link), allowed); !errors.Is(err, status.ErrClosed) {
			t.Fatalf("Connect returned %v", err)
		}
		if _, err := w.Logout(context.Background(), acc, nil, true); !errors.Is(err, status.ErrClosed) {
			t.Fatalf("Logout returned %v", err)
		}
	})
}

// The user was deleted after the request was admitted.
func TestConnectWithoutRow(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		acc := w.account(0)
		acc.ID += 1000
		d, err := w.Connect(context.Background(), acc, models.PlatformWeb, new(link), allowed)
		if err != nil {
			t.Fatal(err)
		}
		d.Gone()
		w.written()
	})
}

// While a device's right to connect is being checked, the device is not visible but can be
// cut: the check need not see a revocation that comes later.
func TestCutWhileBeingChecked(t *testing.T) {
	for _, reason := range []bus.Reason{bus.ReasonBanned, bus.ReasonDeactivated, bus.ReasonDeleted} {
		t.Run(string(reason), func(t *testing.T) {
			testenv.Each(t, func(t *testing.T, db *database.DB) {
				w := newWorld(t, db, 2)
				seen := new(recorder)
				w.WatchApp(w.app.ID, seen)
				acc, l := w.account(0), new(link)
				d, err := w.Connect(context.Background(), acc, models.PlatformIOS, l, func(context.Context) error {
					w.wantPresence(0, models.PresenceUnlogined)
					for i := range 2 { // u1's revocation must not affect the device
						w.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: w.row(1 - i), Reason: reason})
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(l.reasons) != 1 {
					t.Fatalf("the link was cut %d times", len(l.reasons))
				}
				if len(w.Devices(acc.ID)) != 0 || w.OnlineCount(w.app.ID) != 0 {
					t.Fatal("the device remains")
				}
				d.Gone()
				w.written()
				w.delivered()
				seen.want(t, "")
				w.wantRow(0, models.PresenceUnlogined)
			})
		})
	}
}

// A device that the check refuses was never connected.
func TestTurnedAway(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		refusal := errors.New("refused")
		acc := w.account(0)
		_, err := w.Connect(context.Background(), acc, models.PlatformIOS, new(link), func(context.Context) error { return refusal })
		if err != refusal {
			t.Fatalf("Connect returned %v", err)
		}
		w.written()
		w.delivered()
		seen.want(t, "")
		if s := w.stats(); s.arriving+s.entries != 0 {
			t.Fatal("something remains of the device")
		}
	})
}
