package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// bulky is a subscription to users' statuses with events of some ten kilobytes each, with custom
// statuses of 100 bytes: the network's buffers are soon full.
var bulky = func() string {
	var b strings.Builder
	b.WriteString(`subscription($ids: [ID!]!) { userStatus(ids: $ids) { userId presence customStatus`)
	for i := range 90 {
		fmt.Fprintf(&b, " c%d: customStatus", i)
	}
	return b.String() + " } }"
}()

// numbered returns a custom status of 100 bytes.
func numbered(n int) string { return fmt.Sprintf("%0100d", n) }

// account returns a user as presence identifies it.
func account(w *graphtest.World, id string) status.Account {
	w.T.Helper()
	u, err := w.Users.ByID(context.Background(), w.App.ID, id)
	if err != nil || u == nil {
		w.T.Fatalf("there is no %s: %v", id, err)
	}
	return status.AccountOf(u)
}

// set sets a custom status without a request, because these tests set many.
func set(w *graphtest.World, acc status.Account, text string) {
	w.T.Helper()
	if _, err := w.Presence.SetStatus(context.Background(), acc, text); err != nil {
		w.T.Fatal(err)
	}
}

// A reader that pauses misses statuses, but receives none that is older than an earlier one, and
// receives the last.
func TestStatusReader_SlowReceivesTheLast(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, name string) {
		w.Adjust = func(c *transport.Config) { c.Limits.WriteTimeout = time.Minute }
		w.Restart()
		w.Live(name, w.Bearer("ann"), changed, nil)
		slow := w.Live(name, w.Bearer("slow"), bulky, vars("ids", []string{"ann"}))
		slow.Want("ann ONLINE")
		other := w.Live(name, w.Bearer("other"), userStatus, vars("ids", []string{"ann"}))
		resume := slow.Pause()
		defer resume()
		const last = 700
		ann := account(w, "ann")
		for n := range last + 1 {
			set(w, ann, numbered(n))
		}
		for other.Status() != "ann ONLINE "+numbered(last) { // by then all has been sent
		}
		resume()
		told := 0
		for before := ""; before != "ann ONLINE "+numbered(last); told++ {
			now := slow.Status()
			if now <= before {
				w.T.Fatalf("told %q after %q", now, before)
			}
			before = now
		}
		if told == last+1 {
			w.T.Error("the reader was not slow")
		}
		set(w, ann, "x")
		slow.Want("ann ONLINE x")
	})
}

// A reader that stops reading is cut once too much is queued for it, while others receive
// everything.
func TestStatusReader_StalledIsCut(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, name string) {
		w.Adjust = func(c *transport.Config) { c.Limits.QueueBytes = 64 << 10 }
		w.Restart()
		var ids []string
		var accounts []status.Account
		for i := range 20 {
			ids = append(ids, fmt.Sprint("user", i))
			w.Register(w.App, ids[i])
			accounts = append(accounts, account(w, ids[i]))
			if _, err := w.Presence.Connect(context.Background(), accounts[i], models.PlatformOther, nowhere{}, noCheck); err != nil {
				w.T.Fatal(err)
			}
		}
		all := vars("ids", ids)
		stalled := w.Live(name, w.Bearer("stalled"), bulky, all)
		healthy := w.Live(name, w.Bearer("healthy"), userStatus, all)
		for range ids {
			stalled.Next()
			healthy.Next()
		}
		resume := stalled.Pause()
		defer resume()
		for n := 0; len(devices(w, "stalled")) > 0; n++ {
			want := map[string]bool{}
			for i, acc := range accounts {
				set(w, acc, numbered(n))
				want[ids[i]+" ONLINE "+numbered(n)] = true
			}
			for len(want) > 0 {
				told := healthy.Status()
				if !want[told] {
					w.T.Fatalf("the other reader received %q", told)
				}
				delete(want, told)
			}
		}
		eventually(w, func() bool { return presenceOf(w, "stalled") == "OFFLINE" })
		if got := presenceOf(w, "healthy"); got != "ONLINE" {
			w.T.Errorf("the other reader is %s", got)
		}
	})
}

// nowhere is a link with nothing to cut.
type nowhere struct{}

func (nowhere) Cut(status.Cause)      {}
func (nowhere) Client() status.Client { return status.Client{} }

// noCheck allows every device to connect.
func noCheck(context.Context) error { return nil }

// Watchers receive an event when a user comes online for the first time: a friend, a new friend, or
// a user with a subscription.
func TestStatusChanged_FirstOnline(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"ann", "friend", "new", "subscribed"} {
			w.Register(w.App, id)
		}
		do(w, graphtest.AppServer, makeFriends, vars("a", "ann", "b", "friend"))
		ann := watching(w, transport, "ann")
		do(w, graphtest.AppServer, makeFriends, vars("a", "new", "b", "ann"))
		do(w, "ann", subscribe, vars("ids", []string{"subscribed"}))
		for _, id := range []string{"friend", "new", "subscribed"} {
			watching(w, transport, id)
			ann.Want(id + " ONLINE")
		}
	})
}

// A user that was disconnected while others changed sees their present statuses when it reconnects.
func TestStatusChanged_AfterReconnect(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		for _, id := range []string{"comes", "goes", "talks"} {
			w.Register(w.App, id)
			do(w, graphtest.AppServer, makeFriends, vars("a", registered(w, "ann"), "b", id))
		}
		goes := watching(w, transport, "goes")
		watching(w, transport, "talks")
		do(w, "talks", setStatus, vars("text", "before"))
		ids := vars("ids", []string{"comes", "goes", "talks"})
		ask := func(want string) {
			w.T.Helper()
			r := do(w, "ann", statuses, ids)
			if !graphtest.Match(w.T, want, r.Data) {
				w.T.Fatalf("ann sees %s", r.Body)
			}
		}
		ann := watching(w, transport, "ann")
		ask(`{"userStatuses":[{"userId":"comes","presence":"UNLOGINED","customStatus":""},{"userId":"goes","presence":"ONLINE","customStatus":""},{"userId":"talks","presence":"ONLINE","customStatus":"before"}]}`)
		ann.Close()
		eventually(w, func() bool { return presenceOf(w, "ann") == "OFFLINE" })

		watching(w, transport, "comes")
		goes.Close()
		eventually(w, func() bool { return presenceOf(w, "goes") == "OFFLINE" })
		do(w, "talks", setStatus, vars("text", "after"))
		ann = watching(w, transport, "ann")
		ask(`{"userStatuses":[{"userId":"comes","presence":"ONLINE","customStatus":""},{"userId":"goes","presence":"OFFLINE","customStatus":""},{"userId":"talks","presence":"ONLINE","customStatus":"after"}]}`)
		present := w.Live(transport, w.Bearer("ann"), userStatus, vars("ids", []string{"talks"}))
		present.Want("talks ONLINE after")
		do(w, "talks", setStatus, vars("text", "on"))
		present.Want("talks ONLINE on")
		for got := ""; got != "talks ONLINE on"; { // the event of its own return may be earlier
			if got = ann.Status(); got != "ann ONLINE" && got != "talks ONLINE on" {
				w.T.Fatalf("told %q", got)
			}
		}
	})
}
