package relations

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// requests returns the user's pending requests, as "from>to", and their total.
func (w *world) requests(owner string, incoming bool) ([]string, int) {
	w.t.Helper()
	c, err := w.relations.Requests(ctx, w.user(owner), incoming, first(100))
	w.ok(err)
	total, err := c.TotalCount(ctx)
	w.ok(err)
	return collect(c.Nodes(), func(r *FriendRequest) string { return r.From.ExternalID + ">" + r.To.ExternalID }), total
}

func (w *world) listed(owner string, incoming bool, want ...string) {
	w.t.Helper()
	if got, total := w.requests(owner, incoming); fmt.Sprint(got) != fmt.Sprint(want) || total != len(want) {
		w.t.Errorf("%s has %d requests %q (incoming: %v), want %q", owner, total, got, incoming, want)
	}
}

func TestSendFriendRequest_AgainKeepsTheRequest(t *testing.T) {
	each(t, func(w *world) {
		send := func(message *string) *FriendRequest {
			sent, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bob", message)
			w.ok(err)
			return sent.Request
		}
		hello, empty := "Hello", ""
		one := send(&hello)
		start := models.TimeOf(w.clock())
		if text(one.Message) != hello || one.CreatedAt != start || one.ExpiresAt != start.Add(7*24*time.Hour) ||
			one.From.ExternalID != "ann" || one.To.ExternalID != "bob" {
			w.t.Errorf("%+v", one)
		}
		w.pass(time.Hour)
		two := send(nil)
		if two.ID != one.ID || two.CreatedAt != start || two.Message != nil || two.ExpiresAt != one.ExpiresAt.Add(time.Hour) {
			w.t.Errorf("again: %+v, first %+v", two, one)
		}
		if three := send(&empty); three.Message != nil {
			w.t.Errorf("an empty message is %q", *three.Message)
		}
		w.listed("ann", false, "ann>bob")
		w.listed("bob", true, "ann>bob")
		w.listed("ann", true)
		w.listed("bob", false)
		// It lasts for its lifetime after the last call.
		w.pass(RequestLifetime - time.Millisecond)
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", one.ID)
		w.ok(err)
	}, "ann", "bob")
}

func TestRequest_Expired(t *testing.T) {
	each(t, func(w *world) {
		id := w.request("ann", "bob")
		w.request("cid", "bob")
		w.request("ann", "cid")
		w.pass(RequestLifetime)
		w.listed("ann", false)
		w.listed("bob", true)
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		w.refused(err, fault.RequestNotFound)
		_, err = w.relations.DeclineFriendRequest(ctx, w.app, "bob", id)
		w.refused(err, fault.RequestNotFound)
		_, err = w.relations.CancelFriendRequest(ctx, w.app, "ann", id)
		w.refused(err, fault.RequestNotFound)
		if again := w.request("ann", "bob"); again == id {
			w.t.Error("an expired request was reused")
		}
		w.listed("bob", true, "ann>bob")
		// A request that crosses an expired one does not make the users friends.
		w.pass(RequestLifetime)
		w.request("bob", "ann")
		w.consistent()
	}, "ann", "bob", "cid")
}

func TestSendFriendRequest_CrossingMakesFriends(t *testing.T) {
	each(t, func(w *world) {
		w.request("ann", "bob")
		sent, err := w.relations.SendFriendRequest(ctx, w.app, "bob", "ann", nil)
		w.ok(err)
		if sent.Request != nil || sent.Friendship == nil || sent.Friendship.User.ExternalID != "ann" {
			w.t.Errorf("%+v", sent)
		}
		w.listed("ann", false)
		w.listed("bob", true)
		w.consistent()
	}, "ann", "bob")
}

func TestSendFriendRequest_Refuses(t *testing.T) {
	each(t, func(w *world) {
		refused := func(from, to string, code fault.Code) *fault.Error {
			w.t.Helper()
			_, err := w.relations.SendFriendRequest(ctx, w.app, from, to, nil)
			return w.refused(err, code)
		}
		refused("ann", "ann", fault.SelfReference)
		refused("ann", "nobody", fault.UserNotFound)
		w.deactivate("dead")
		refused("ann", "dead", fault.UserDeactivated)

		w.block("ann", "bob") // refused in both directions
		refused("ann", "bob", fault.Blocked)
		refused("bob", "ann", fault.Blocked)
		results, err := w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"bob"})
		w.batch(results, err)("DONE")

		w.whitelist(true, "bob")
		refused("ann", "bob", fault.NotInWhitelist)
		w.request("bob", "ann") // the sender's own whitelist has no effect
		w.clear()
		w.whitelist(true, "bob")
		w.allow("bob", "ann")
		w.request("ann", "bob")

		w.befriend("ann", "bob")
		refused("ann", "bob", fault.AlreadyFriends)
		w.block("bob", "ann")
		refused("ann", "bob", fault.Blocked)

		w.app.Settings.FriendLimit = 1 // only the sender must have room
		if e := refused("ann", "cid", fault.FriendLimitReached); e.Extensions["userId"] != "ann" || e.Extensions["limit"] != 1 {
			w.t.Errorf("%+v", e)
		}
		w.request("cid", "ann")
	}, "ann", "bob", "cid", "dead")
}

func TestAcceptFriendRequest_RoomOnBothSides(t *testing.T) {
	each(t, func(w *world) {
		w.app.Settings.FriendLimit = 1
		w.befriend("bob", "cid")
		id := w.request("ann", "bob")
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		if e := w.refused(err, fault.FriendLimitReached); e.Extensions["userId"] != "bob" {
			w.t.Errorf("%+v", e)
		}
		w.listed("bob", true, "ann>bob") // the request is still pending
		_, err = w.relations.RemoveFriend(ctx, w.app, "bob", "cid")
		w.ok(err)
		w.befriend("ann", "dan") // now the sender has the maximum
		_, err = w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		if e := w.refused(err, fault.FriendLimitReached); e.Extensions["userId"] != "ann" {
			w.t.Errorf("%+v", e)
		}
		_, err = w.relations.RemoveFriend(ctx, w.app, "ann", "dan")
		w.ok(err)
		f, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		w.ok(err)
		if f.User.ExternalID != "ann" {
			w.t.Errorf("%+v", f)
		}
		w.consistent()
	}, "ann", "bob", "cid", "dan")
}

// TestRequest_OnlyItsUsers checks that for every other user the request does not exist.
func TestRequest_OnlyItsUsers(t *testing.T) {
	each(t, func(w *world) {
		id := w.request("ann", "bob")
		calls := map[string]func(who, id string) error{
			"accept": func(who, id string) error {
				_, err := w.relations.AcceptFriendRequest(ctx, w.app, who, id)
				return err
			},
			"decline": func(who, id string) error {
				_, err := w.relations.DeclineFriendRequest(ctx, w.app, who, id)
				return err
			},
			"cancel": func(who, id string) error {
				_, err := w.relations.CancelFriendRequest(ctx, w.app, who, id)
				return err
			},
		}
		for name, call := range calls {
			strangers := []string{"ann", "cid"}
			if name == "cancel" {
				strangers[0] = "bob"
			}
			for _, who := range strangers {
				w.refused(call(who, id), fault.RequestNotFound)
			}
			bob := w.user("bob")
			foreign := opaque.Secret{1}.Sealer("friend request", 0).Seal(1, 0)
			for _, made := range []string{"", "0", "1", id + " ", id + "\n", id[:len(id)-1], id + "A", "x", "１", foreign, w.secret.Sealer("incoming", bob.ID).Seal(1, 0)} {
				if asked := testenv.Statements(w.t, w.db, func() { w.refused(call("bob", made), fault.RequestNotFound) }); len(asked) > 0 {
					w.t.Errorf("to %s %q ran the statements %v", name, made, asked)
				}
			}
		}
		w.ok(calls["decline"]("bob", id))
		w.refused(calls["decline"]("bob", id), fault.RequestNotFound)
		w.refused(calls["cancel"]("ann", id), fault.RequestNotFound)
		id = w.request("ann", "bob")
		w.ok(calls["cancel"]("ann", id))
		w.refused(calls["accept"]("bob", id), fault.RequestNotFound)
		w.listed("bob", true)
	}, "ann", "bob", "cid")
}

func TestAddToBlocklist_EndsRequests(t *testing.T) {
	each(t, func(w *world) {
		id := w.request("ann", "bob")
		w.request("cid", "ann")
		w.block("ann", "bob", "cid")
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		w.refused(err, fault.RequestNotFound)
		w.listed("ann", true)
		w.listed("ann", false)
		results, err := w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"bob"})
		w.batch(results, err)("DONE")
		w.request("bob", "ann")
	}, "ann", "bob", "cid")
}

// TestRequestID_CountsNothing checks that a request's ID is the same for both users, and that the
// next request's ID has nothing in common with it.
func TestRequestID_CountsNothing(t *testing.T) {
	each(t, func(w *world) {
		ids := []string{w.request("ann", "bob"), w.request("ann", "cid")}
		for i, who := range []string{"bob", "cid"} {
			incoming, err := w.relations.Requests(ctx, w.user(who), true, first(10))
			w.ok(err)
			if got := incoming.Nodes()[0].ID; got != ids[i] {
				w.t.Errorf("%s sees the request %s, ann got %s", who, got, ids[i])
			}
		}
		outgoing, err := w.relations.Requests(ctx, w.user("ann"), false, first(10))
		w.ok(err)
		for _, request := range outgoing.Nodes() {
			if !slices.Contains(ids, request.ID) {
				w.t.Errorf("ann sees the request %s, she got %v", request.ID, ids)
			}
		}
		same := 0
		for i := range min(len(ids[0]), len(ids[1])) {
			if ids[0][i] == ids[1][i] {
				same++
			}
		}
		if len(ids[0]) < 20 || same > len(ids[0])/2 {
			w.t.Errorf("the IDs are %v", ids)
		}
	}, "ann", "bob", "cid")
}

// FuzzRequestID checks that every accepted text is the exact ID of its request.
func FuzzRequestID(f *testing.F) {
	ids := requestIDs(opaque.Secret{1})
	f.Add("1")
	f.Add(requestID(ids, 1))
	f.Add(requestID(ids, 1) + "\n")
	f.Add(ids.Seal(1, 1))
	f.Fuzz(func(t *testing.T, id string) {
		if key, ok := requestKey(ids, id); ok && requestID(ids, key) != id {
			t.Errorf("%q is accepted as %d, whose ID is %q", id, key, requestID(ids, key))
		}
	})
}
