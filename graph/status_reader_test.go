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

// bulky is a subscription to users' statuses whose every event takes some ten
// kilobytes, with custom statuses of 100 bytes: what the network holds on the way
// is soon full of them.
var bulky = func() string {
	var b strings.Builder
	b.WriteString(`subscription($ids: [ID!]!) { userStatus(ids: $ids) { userId presence customStatus`)
	for i := range 90 {
		fmt.Fprintf(&b, " c%d: customStatus", i)
	}
	return b.String() + " } }"
}()

// numbered answers a custom status of 100 bytes.
func numbered(n int) string { return fmt.Sprintf("%0100d", n) }

// account answers a user as presence knows it.
func account(w *graphtest.World, id string) status.Account {
	w.T.Helper()
	u, err := w.Users.ByID(context.Background(), w.App.ID, id)
	if err != nil || u == nil {
		w.T.Fatalf("there is no %s: %v", id, err)
	}
	return status.AccountOf(u)
}

// set sets a custom status without a request: there are many in these tests.
func set(w *graphtest.World, acc status.Account, text string) {
	w.T.Helper()
	if _, err := w.Presence.SetStatus(context.Background(), acc, text); err != nil {
		w.T.Fatal(err)
	}
}

// A reader that pauses misses statuses, but is told of none that is older than one
// before, and of the last.
func TestSlowReaderEndsAtTheLast(t *testing.T) {
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

// A reader that takes nothing for so long that too much waits for it is cut, and
// others hear of everything meanwhile.
func TestStalledReaderIsCut(t *testing.T) {
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
					w.T.Fatalf("the other reader was told %q", told)
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

// nowhere is a link that has nothing to cut.
type nowhere struct{}

func (nowhere) Cut(status.Reason) {}

// noCheck lets a device connect.
func noCheck(context.Context) error { return nil }

// Who watches is told when somebody comes for the very first time, be it a friend,
// a new friend or one who is subscribed.
func TestFirstOnlineIsTold(t *testing.T) {
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

// Whoever was away while others changed sees, when it is back, how they are now.
func TestReconnectSeesThePresent(t *testing.T) {
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
		for got := ""; got != "talks ONLINE on"; { // the own return may be told before
			if got = ann.Status(); got != "ann ONLINE" && got != "talks ONLINE on" {
				w.T.Fatalf("told %q", got)
			}
		}
	})
}
