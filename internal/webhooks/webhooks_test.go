package webhooks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/users"
	"rollcall/models"
)

var by = models.Actor{Name: "test"}

// TestSignature_Vector has the signature that the Go and the npm library make.
func TestSignature_Vector(t *testing.T) {
	secret, err := base64.StdEncoding.DecodeString("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		t.Fatal(err)
	}
	got := signature([][]byte{secret}, "msg_01", 1795884145, []byte(`{"type":"user.banned"}`))
	if want := "v1,sWe7p2JLSuEUcc7fy4TWpPE5sLZdRBwewdYtfQ1TMTk="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if text := secretText(secret); text != "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" {
		t.Errorf("the secret is %s", text)
	}
}

// TestRun_DeliversChanges makes every kind of change and compares what the receiver gets.
func TestRun_DeliversChanges(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		_, secret := w.endpoint(r.URL)
		w.run(w.webhooks)
		reason := "spam"
		remark := "Uncle"
		w.register("ann", "bo", "cy")
		_, err := w.users.Update(ctx, w.app, "ann", users.Change{Name: "Anna"})
		w.must(err)
		_, err = w.relations.AddFriend(ctx, w.app, "ann", "bo", nil)
		w.must(err)
		_, err = w.relations.SetFriendRemark(ctx, w.app, "ann", "bo", remark)
		w.must(err)
		_, err = w.relations.RemoveFriend(ctx, w.app, "ann", "bo")
		w.must(err)
		_, err = w.relations.SendFriendRequest(ctx, w.app, "ann", "cy", &remark)
		w.must(err)
		_, err = w.relations.AddToBlocklist(ctx, w.app, "ann", []string{"cy"})
		w.must(err)
		_, err = w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"cy"})
		w.must(err)
		_, err = w.relations.AddToWhitelist(ctx, w.app, "ann", []string{"bo", "cy"})
		w.must(err)
		_, err = w.relations.RemoveFromWhitelist(ctx, w.app, "ann", []string{"bo"})
		w.must(err)
		_, err = w.relations.SetWhitelistEnabled(ctx, w.app, []string{"ann"}, true, by)
		w.must(err)
		_, err = w.users.ExpireTokens(ctx, w.app, []string{"ann"}, w.webhooks.now(), by)
		w.must(err)
		_, err = w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
		w.must(err)
		_, err = w.users.Unban(ctx, w.app, []string{"ann"}, by)
		w.must(err)
		_, err = w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Permanent: true}, by)
		w.must(err)
		_, err = w.relations.AddFriend(ctx, w.app, "ann", "bo", nil)
		w.must(err)
		_, err = w.users.Deactivate(ctx, w.app, []string{"ann"}, by)
		w.must(err)
		_, err = w.users.Reactivate(ctx, w.app, []string{"ann"}, by)
		w.must(err)
		_, err = w.users.Delete(ctx, w.app, []string{"ann"}, by)
		w.must(err)

		want := map[string][]string{
			"ann": {"user.registered", "user.updated", "friend.added", "friend.remark_changed", "friend.removed", "block.added", "block.removed",
				"whitelist.changed", "whitelist.changed", "whitelist.changed", "user.tokens_expired", "user.banned", "user.unbanned", "user.banned",
				"friend.added", "user.deactivated", "user.reactivated", "user.deleted"},
			"bo": {"user.registered", "friend.added", "friend.removed", "friend.added", "friend.removed"},
			"cy": {"user.registered", "friend_request.received", "friend_request.cancelled"},
		}
		w.pass(time.Minute) // some versions are later than the time of the change
		n := 0
		for _, kinds := range want {
			n += len(kinds)
		}
		got := r.await(w.t, n)
		for user, kinds := range want {
			if have := r.kinds(user); !slices.Equal(have, kinds) {
				w.t.Errorf("events of %s:\n%q, want\n%q", user, have, kinds)
			}
		}
		if len(got) != n {
			w.t.Errorf("%d events, want %d", len(got), n)
		}
		versions := map[string]int64{}
		for _, one := range got {
			if err := one.verify(secret); err != nil {
				w.t.Errorf("%s: %v", one.body, err)
			}
			user := one.event.Data.User
			if user.Version <= versions[user.ID] || one.event.ID != one.id || one.event.AppKey != w.app.Key || one.header.Get("User-Agent") != "Rollcall/test" {
				w.t.Errorf("after version %d: %s", versions[user.ID], one.body)
			}
			versions[user.ID] = user.Version
			if strings.Contains(string(one.body), remark) {
				w.t.Errorf("a remark or a message is in %s", one.body)
			}
		}
	})
}

// TestBodies compares the bodies of the events that have more than IDs.
func TestBodies(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		w.endpoint(r.URL, outbox.UserRegistered, outbox.UserBanned, outbox.WhitelistChanged, outbox.FriendRequestReceived)
		reason := "spam"
		_, err := w.users.Register(ctx, w.app, users.Registration{ID: "ann", Name: "Ann", AvatarURL: "https://example.org/a.png"})
		w.must(err)
		w.register("bo")
		_, err = w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
		w.must(err)
		_, err = w.relations.AddToWhitelist(ctx, w.app, "ann", []string{"bo"})
		w.must(err)
		sent, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bo", &reason)
		w.must(err)
		w.must(w.webhooks.deliverAll(w))
		const at = 1_790_000_000_000
		var got []string
		for _, one := range r.got() {
			_, data, _ := strings.Cut(string(one.body), `"data":`)
			got = append(got, one.kind+" "+strings.TrimSuffix(data, "}"))
		}
		slices.Sort(got)
		want := []string{
			fmt.Sprintf(`friend_request.received {"user":{"id":"bo","version":%d},"other":{"id":"ann"},"request":{"id":%q,"fromId":"ann","toId":"bo"}}`, at+1, sent.Request.ID),
			fmt.Sprintf(`user.banned {"user":{"id":"ann","version":%d,"state":"BANNED"},"ban":{"until":"2026-09-21T15:13:20.000Z","reason":"spam"}}`, at+1),
			fmt.Sprintf(`user.registered {"user":{"id":"ann","version":%d,"state":"ACTIVE","name":"Ann","avatarUrl":"https://example.org/a.png"}}`, at),
			fmt.Sprintf(`user.registered {"user":{"id":"bo","version":%d,"state":"ACTIVE","name":"Name of bo"}}`, at),
			fmt.Sprintf(`whitelist.changed {"user":{"id":"ann","version":%d},"whitelist":{"added":["bo"]}}`, at+2),
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// deliverAll distributes what is new, and sends what is due, once.
func (s *Service) deliverAll(w *world) error {
	w.pass(10 * time.Millisecond) // versions may be later than the time of the change
	w.distribute()
	due, err := s.dueEndpoints(ctx)
	for _, e := range due {
		_, deliverErr := s.deliver(ctx, e.ID)
		err = errors.Join(err, deliverErr)
	}
	return err
}

func TestWrite_OnlyWhatEndpointsWant(t *testing.T) {
	each(t, func(w *world) {
		w.register("before")
		count := func() (n int64) {
			w.must(w.db.Read(ctx).Model(&models.Event{}).Count(&n).Error)
			return n
		}
		if n := count(); n != 0 {
			w.t.Errorf("%d events without an endpoint", n)
		}
		e, _ := w.endpoint("http://127.0.0.1:1", outbox.UserBanned)
		w.must(outbox.AwaitFresh(ctx)) // as Create does outside tests
		w.register("after")
		_, err := w.users.Ban(ctx, w.app, []string{"after", "before"}, users.Sentence{Permanent: true}, by)
		w.must(err)
		list := w.deliveries(e.ID)
		if len(list) != 2 || list[0].Type != "user.banned" || list[1].Type != "user.banned" || count() != 2 {
			w.t.Errorf("deliveries: %+v of %d events", list, count())
		}
	})
}

func TestCreate_IsKnownWhenItReturns(t *testing.T) {
	each(t, func(w *world) {
		w.register("before") // the rules have read that there is no endpoint
		s := New(w.db, w.bus, w.webhooks.opts)
		e, _, err := s.Create(ctx, w.app, NewEndpoint{URL: "http://127.0.0.1:1"}, by)
		w.must(err)
		w.register("after")
		if list := w.deliveries(e.ID); len(list) != 1 || list[0].Subject != "after" {
			w.t.Errorf("deliveries: %+v", list)
		}
	})
}

func TestCreate_Refuses(t *testing.T) {
	each(t, func(w *world) {
		strict := New(w.db, w.bus, Options{Clock: w.clock})
		for _, in := range []NewEndpoint{
			{URL: "http://example.org"},
			{URL: "ftp://example.org"},
			{URL: "https://user:password@example.org"},
			{URL: ""},
			{URL: "https://example.org/" + strings.Repeat("a", 1024)},
			{URL: "https://example.org", Description: strings.Repeat("a", 129)},
			{URL: "https://example.org", Types: []outbox.Type{"user.greeted"}},
			{URL: "https://example.org", Types: []outbox.Type{outbox.EndpointTest}},
		} {
			if _, _, err := strict.Create(ctx, w.app, in, by); fault.CodeOf(err) != fault.InvalidArgument {
				w.t.Errorf("%+v: %v", in, err)
			}
		}
		for range outbox.MaxEndpoints {
			w.endpoint("https://example.org")
		}
		if _, _, err := w.webhooks.Create(ctx, w.app, NewEndpoint{URL: "https://example.org"}, by); fault.CodeOf(err) != fault.WebhookLimitReached {
			w.t.Errorf("one more: %v", err)
		}
		failing := w.webhooks.Showing(func(*models.WebhookEndpoint, string) error { return errors.New("broken pipe") })
		list, err := w.webhooks.List(ctx, w.app)
		w.must(err)
		if _, _, err := failing.RotateSecret(ctx, w.app, list[0].ID, 0, by); err == nil || !bytes.Equal(w.row(list[0].ID).Secret, list[0].Secret) {
			w.t.Errorf("a secret that was not shown: %v", err)
		}
	})
}

func TestRotateSecret_BothSignDuringGrace(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, first := w.endpoint(r.URL, outbox.UserRegistered)
		_, second, err := w.webhooks.RotateSecret(ctx, w.app, e.ID, time.Hour, by)
		w.must(err)
		w.register("ann")
		w.must(w.webhooks.deliverAll(w))
		w.pass(time.Hour)
		w.register("bo")
		w.must(w.webhooks.deliverAll(w))
		got := r.got()
		if len(got) != 2 {
			w.t.Fatalf("received %d", len(got))
		}
		for i, valid := range [][2]bool{{true, true}, {false, true}} {
			if old, current := got[i].verify(first) == nil, got[i].verify(second) == nil; [2]bool{old, current} != valid {
				w.t.Errorf("delivery %d: the previous secret verifies: %t, the present one: %t", i, old, current)
			}
		}
		for _, grace := range []time.Duration{-1, MaxGrace + 1} {
			if _, _, err := w.webhooks.RotateSecret(ctx, w.app, e.ID, grace, by); fault.CodeOf(err) != fault.InvalidArgument {
				w.t.Errorf("grace %s: %v", grace, err)
			}
		}
		if n := w.audited(audit.ActionWebhookRotateSecret, ""); n != 1 {
			w.t.Errorf("%d audit entries", n)
		}
	})
}

func TestDelete_EndsDeliveries(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL)
		kept, _ := w.endpoint(r.URL + "/kept")
		w.register("ann", "bo")
		_, err := w.webhooks.Delete(ctx, w.app, e.ID, by)
		w.must(err)
		w.must(w.webhooks.deliverAll(w))
		if got := r.got(); len(got) != 2 {
			w.t.Errorf("received %d, want those of the other endpoint", len(got))
		}
		if _, err := w.webhooks.Delete(ctx, w.app, e.ID, by); !errors.Is(err, ErrNoEndpoint) {
			w.t.Errorf("again: %v", err)
		}
		w.must(w.webhooks.tidy(ctx))
		w.pass(deletedKept + time.Millisecond)
		w.must(w.webhooks.tidy(ctx))
		var endpoints, deliveries int64
		w.must(w.db.Read(ctx).Model(&models.WebhookEndpoint{}).Count(&endpoints).Error)
		w.must(w.db.Read(ctx).Model(&models.Delivery{}).Count(&deliveries).Error)
		if endpoints != 1 || deliveries != 2 || len(w.deliveries(kept.ID)) != 2 {
			w.t.Errorf("%d endpoints and %d deliveries are left", endpoints, deliveries)
		}
	})
}
