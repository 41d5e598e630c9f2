package presence

import (
	"context"
	"errors"
	"testing"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// A device of which only the user's numeric key is known can be cut by a ban before its account is
// read, and is like any other device afterwards.
func TestConnectByID(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 1)
		seen := new(recorder)
		w.WatchApp(w.app.ID, seen)
		acc, ctx := w.account(0), context.Background()

		banned := new(link)
		_, err := w.ConnectByID(ctx, acc.ID, models.PlatformIOS, banned, func(context.Context) (status.Account, error) {
			w.bus.PublishAccessRevoked(ctx, bus.AccessRevoked{User: w.row(0), Reason: bus.ReasonBanned})
			return acc, nil
		})
		if err != nil || len(banned.reasons) != 1 {
			t.Fatalf("a user banned while it is read: %v, cut %d times", err, len(banned.reasons))
		}
		refusal := errors.New("refused")
		_, err = w.ConnectByID(ctx, acc.ID, models.PlatformIOS, new(link), func(context.Context) (status.Account, error) { return status.Account{}, refusal })
		if err != refusal {
			t.Fatalf("a refused user: %v", err)
		}
		if s := w.stats(); s.arriving+s.entries != 0 {
			t.Fatal("something remains of the refused devices")
		}

		d, err := w.ConnectByID(ctx, acc.ID, models.PlatformIOS, new(link), func(context.Context) (status.Account, error) { return acc, nil })
		if err != nil || d.Account() != acc {
			t.Fatalf("a user that may connect: %v, the device of %+v", err, d.Account())
		}
		d.Gone()
		w.written()
		w.delivered()
		seen.want(t, "u0:ONLINE u0:OFFLINE")
		w.wantRow(0, models.PresenceOffline)
	})
}

// In a service of several nodes, a ban at another node is noticed, too.
func TestConnectByID_WhileBannedElsewhere(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 1)
		acc, row, refused := n[1].account(0), n[0].row(0), errors.New("refused")
		asked := 0
		_, err := n[1].ConnectByID(context.Background(), acc.ID, models.PlatformWeb, new(link), func(context.Context) (status.Account, error) {
			if asked++; asked == 1 {
				n[0].bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: row, Reason: bus.ReasonBanned})
				return acc, nil
			}
			return status.Account{}, refused
		})
		if err != refused {
			t.Fatalf("ConnectByID returned %v after %d reads", err, asked)
		}
		n[1].wantPresence(0, models.PresenceUnlogined)
	})
}
