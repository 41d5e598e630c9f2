package presence

import (
	"testing"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestSetStatus(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 2)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		set := func(text string) models.UserStatus {
			t.Helper()
			status, err := w.SetStatus(w.account(0), text)
			if err != nil {
				t.Fatal(err)
			}
			return status
		}
		if _, err := w.SetStatus(w.account(0), "too early"); fault.CodeOf(err) != fault.NotOnline {
			t.Fatalf("setting a status without a device returned %v", err)
		}
		first, _ := w.connect(0)
		second, _ := w.connect(0)
		online := w.StatusOf(w.row(0))
		set("")
		away := set("away")
		if away.CustomStatus != "away" || away.Presence != models.PresenceOnline || *away.ChangedAt <= *online.ChangedAt {
			t.Fatalf("the status is %+v, after %+v", away, online)
		}
		set("away")
		first.Gone()
		if got := w.StatusOf(w.row(0)).CustomStatus; got != "away" {
			t.Fatalf("the custom status is %q while a device remains", got)
		}
		second.Gone()
		if _, err := w.SetStatus(w.account(0), "too late"); fault.CodeOf(err) != fault.NotOnline {
			t.Fatalf("setting a status after the last device returned %v", err)
		}
		w.connect(0)
		set("back")
		set("")
		set("again")
		w.logout(0, nil, true)
		w.connect(0)
		set("x")
		w.bus.PublishAccessRevoked(t.Context(), bus.AccessRevoked{User: w.users[0], Reason: bus.ReasonBanned})
		w.delivered()
		seen.want(t, "u0:ONLINE u0:ONLINE:away u0:OFFLINE"+
			" u0:ONLINE u0:ONLINE:back u0:ONLINE u0:ONLINE:again u0:UNLOGINED"+
			" u0:ONLINE u0:ONLINE:x u0:OFFLINE")
		wantOrder(t, seen)
	})
}

// wantOrder checks that each user's events are in order: later changes are later
// by both their time and their number.
func wantOrder(t *testing.T, seen *recorder) {
	t.Helper()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	last := map[int64]*fanout.Event{}
	for _, ev := range seen.events {
		if was := last[ev.Key()]; was != nil {
			a, b := was.Value().(*models.UserStatus), ev.Value().(*models.UserStatus)
			if *a.ChangedAt >= *b.ChangedAt || was.Seq() >= ev.Seq() {
				t.Fatalf("%+v (%d) came before %+v (%d)", *a, was.Seq(), *b, ev.Seq())
			}
		}
		last[ev.Key()] = ev
	}
}
