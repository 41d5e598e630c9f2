package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// befriend makes ann and another user friends.
func (s *site) befriend(id string, remark *string) {
	s.t.Helper()
	_, err := s.relations.AddFriend(context.Background(), s.dev, "ann", id, remark)
	s.check(err)
}

func TestUserLists(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		for _, id := range []string{"bob", "cat", "dan", "eve"} {
			s.register(s.dev, id, "Name of "+id)
		}
		remark, message := hostile, "Hello & <b>welcome</b>"
		s.befriend("bob", &remark)
		_, err := s.relations.AddToBlocklist(ctx, s.dev, "ann", []string{"bob"})
		s.check(err)
		_, err = s.relations.SendFriendRequest(ctx, s.dev, "cat", "ann", &message)
		s.check(err)
		_, err = s.relations.SendFriendRequest(ctx, s.dev, "ann", "dan", nil)
		s.check(err)
		_, err = s.relations.AddToWhitelist(ctx, s.dev, "ann", []string{"eve"})
		s.check(err)
		b := s.as("viewer")
		path := userPath(s.dev, "ann")
		_, err = s.deps.Subscriptions.Subscribe(ctx, s.dev, s.user(s.dev, "ann"), []string{"bob"})
		s.check(err)
		b.get(path+"/relationships").want(t, http.StatusOK, "Name of bob", "&lt;script&gt;", "!<script>alert", "blocked",
			"Name of cat", "Hello &amp; &lt;b&gt;", "2026-11-27 08:00 UTC", "Name of dan", "Name of eve", "The whitelist is off", "!empty list")
		b.get(path+"/activity").want(t, http.StatusOK, "No actions yet")
		b.get(userPath(s.prod, "ann")+"/relationships").want(t, http.StatusOK, "6 empty lists", `<details class="card folded" open>`)
		for list, who := range map[string]string{"friends": "bob", "incoming": "cat", "outgoing": "dan", "blocklist": "bob", "whitelist": "eve", "subscriptions": "bob"} {
			b.get(path+"/"+list).want(t, http.StatusOK, "Name of "+who, userPath(s.dev, who)+`"`)
			b.get(userPath(s.prod, "ann")+"/"+list).want(t, http.StatusOK, "!Name of", "Back to the user")
			b.get(userPath(s.dev, "nobody")+"/"+list).want(t, http.StatusNotFound)
			b.get(path+"/"+list+"?after=nonsense").want(t, http.StatusBadRequest)
		}
	})
}

func TestUserPages_Links(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	path := userPath(s.dev, "ann")
	users := `href="` + usersPath(s.dev) + `" aria-current="page"`
	for _, page := range []string{path, path + "/relationships", path + "/devices", path + "/activity", path + "/friends"} {
		b.get(page).want(t, http.StatusOK, users, `href="`+path+`/devices"`, `href="`+bannedList.path(s.dev)+`">`, `href="`+overviewPath(s.dev)+`">Overview`)
	}
	asks := permissionPath(s.dev) + "?to=ann"
	b.get(path).want(t, http.StatusOK, `href="`+asks+`"`)
	b.get(asks).want(t, http.StatusOK, `name="to" value="ann"`, "!Decision")
}

func TestFriendsPaging(t *testing.T) {
	s := onSQLite(t)
	var want []string
	for i := range 60 {
		id := fmt.Sprintf("f%02d", i)
		s.register(s.dev, id, "F")
		s.pass(time.Millisecond)
		s.befriend(id, nil)
		want = append(want, userPath(s.dev, id))
	}
	slices.Reverse(want)
	b := s.as("viewer")
	path := userPath(s.dev, "ann")
	b.get(path+"/relationships").want(t, http.StatusOK, "All friends", want[0], want[4], "!"+want[5]+`"`)
	var got []string
	for next := path + "/friends"; next != ""; {
		links := b.get(next).links()
		next = ""
		for _, link := range links {
			if strings.HasPrefix(link, userPath(s.dev, "f")) {
				got = append(got, link)
			}
			if strings.HasPrefix(link, path+"/friends?after=") {
				next = link
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d friends: %v", len(got), got)
	}
}

func TestWhitelistSwitch(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		path := userPath(s.dev, "ann")
		for _, step := range []struct {
			name, says string
			on         bool
		}{
			{"whitelist-off", "The whitelist of ann is off; there is nothing to do.", false},
			{"whitelist-on", "The whitelist of ann is on.", true},
			{"whitelist-on", "The whitelist of ann is on; there is nothing to do.", true},
			{"whitelist-off", "The whitelist of ann is off.", false},
		} {
			b.post(path+"/"+step.name, nil).wantRedirect(t, path)
			b.get(path).want(t, http.StatusOK, step.says)
			if got := s.user(s.dev, "ann").WhitelistEnabled; got != step.on {
				t.Errorf("after %s the whitelist is %v", step.name, got)
			}
		}
		if got := s.audited(s.dev); !slices.Equal(got, []string{"admin user.whitelist_on ann", "admin user.whitelist_off ann"}) {
			t.Errorf("audit %v", got)
		}
	})
}

func TestPermission_Explained(t *testing.T) {
	s := onSQLite(t)
	ctx := context.Background()
	day := 24 * time.Hour
	by := models.Actor{Name: "test"}
	for _, id := range []string{"bob", "banned", "gone", "blocked", "shy"} {
		s.register(s.dev, id, id)
	}
	_, err := s.users.Ban(ctx, s.dev, []string{"banned"}, users.Sentence{Length: day}, by)
	s.check(err)
	_, err = s.users.Deactivate(ctx, s.dev, []string{"gone"}, by)
	s.check(err)
	_, err = s.relations.AddToBlocklist(ctx, s.dev, "ann", []string{"blocked"})
	s.check(err)
	_, err = s.relations.SetWhitelistEnabled(ctx, s.dev, []string{"shy"}, true, by)
	s.check(err)
	b := s.as("viewer")
	path := permissionPath(s.dev)
	ask := func(from, to string) string { return path + "?" + url.Values{"from": {from}, "to": {to}}.Encode() }
	b.get(path).want(t, http.StatusOK, "Sender (ID or name)", "!Decision")
	for _, c := range []struct{ from, to, rule, remedy string }{
		{"bob", "ann", "No rule forbids it.", "The whitelist of ann is turned on: bob is not on it."},
		{"ann", "ann", "Lists and settings do not apply to messages to oneself.", "ann is banned or deactivated."},
		{"banned", "banned", "banned is banned.", "The ban of banned is lifted"},
		{"nobody", "ann", "No user with the ID or name nobody was found.", "must register nobody"},
		{"gone", "ann", "gone is deactivated.", "gone is reactivated"},
		{"banned", "ann", "banned is banned.", "The ban of banned is lifted"},
		{"ann", "nobody", "No user with the ID or name nobody was found.", "must register nobody"},
		{"ann", "gone", "gone is deactivated.", "gone is reactivated"},
		{"ann", "shy", "The whitelist of shy is on, and ann is not on it.", "ann is added to the whitelist of shy"},
		{"blocked", "ann", "blocked is on the blocklist of ann.", "blocked is removed from the blocklist of ann"},
		{hostile, "王", "No user with the ID or name", "&lt;script&gt;"},
	} {
		b.get(ask(c.from, c.to)).want(t, http.StatusOK, c.rule, c.remedy, "!<script>alert")
	}
	b.get(ask("ann", "ann")).want(t, http.StatusOK, "!blocklist", "!whitelist", "!together", "!alone")
	// One obstacle behind another, and what an allowed message depends on.
	_, err = s.relations.AddToBlocklist(ctx, s.dev, "shy", []string{"ann"})
	s.check(err)
	b.get(ask("ann", "shy")).want(t, http.StatusOK, "and ann is also removed from the blocklist of shy", "!together")
	_, err = s.relations.AddToWhitelist(ctx, s.dev, "shy", []string{"ann"})
	s.check(err)
	b.get(ask("ann", "shy")).want(t, http.StatusOK, "Any one of these changes forbids it:",
		"removes ann from the whitelist of shy", "The whitelist of shy is turned off", "!turned on: ann", "!puts ann on the blocklist")
	s.check(s.db.Exec(ctx, "UPDATE apps SET only_friends_can_message = ? WHERE id = ?", true, s.dev.ID))
	b.get(ask("bob", "ann")).want(t, http.StatusOK, "the two are not friends", "onlyFriendsCanMessage", userPath(s.dev, "bob"))
	b.get(ask("blocked", "ann")).want(t, http.StatusOK, "All of these together allow it:", "blocked is removed from the blocklist of ann", "The two become friends")
	s.befriend("bob", nil)
	b.get(ask("bob", "ann")).want(t, http.StatusOK, "The two are no longer friends", "!The two become friends")
}

// TestPermission_Remedies: an admin makes the changes that a denied message needs, one by one.
func TestPermission_Remedies(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		s.register(s.dev, "bob", "Bob")
		_, err := s.users.Ban(ctx, s.dev, []string{"bob"}, users.Sentence{Length: time.Hour}, setup)
		s.check(err)
		_, err = s.relations.SetWhitelistEnabled(ctx, s.dev, []string{"ann"}, true, setup)
		s.check(err)
		_, err = s.relations.AddToBlocklist(ctx, s.dev, "ann", []string{"bob"})
		s.check(err)
		path := permissionPath(s.dev)
		pair := url.Values{"from": {"bob"}, "to": {"ann"}}
		ask := path + "?" + pair.Encode()
		s.as("viewer").get(ask).want(t, http.StatusOK, "is added to the whitelist of ann", "!<form method=\"post\" action=\""+path)
		b := s.as("admin")
		b.get(ask).want(t, http.StatusOK, userPath(s.dev, "bob")+"/unban", `action="`+path+`/allow"`, "!"+path+"/unblock")
		b.post(path+"/allow", pair).wantRedirect(t, ask)
		b.get(ask).want(t, http.StatusOK, "bob was added to the whitelist.", "!"+path+"/allow")
		b.post(path+"/allow", pair).wantRedirect(t, ask)
		b.get(ask).want(t, http.StatusOK, "bob is on the whitelist; there is nothing to do.")
		b.post(userPath(s.dev, "ann")+"/whitelist-off", nil)
		b.get(ask).want(t, http.StatusOK, `action="`+path+`/unblock"`)
		b.post(path+"/unblock", pair).wantRedirect(t, ask)
		b.get(ask).want(t, http.StatusOK, "bob was removed from the blocklist.", "!"+path+"/unblock")
		b.post(path+"/unblock", pair).wantRedirect(t, ask)
		b.get(ask).want(t, http.StatusOK, "bob is not on the blocklist; there is nothing to do.")
		b.post(path+"/unblock", url.Values{"from": {"bob"}, "to": {"nobody"}}).wantRedirect(t, path+"?from=bob&to=nobody")
		b.get(ask).want(t, http.StatusOK, "no longer exists")
		want := []string{"admin user.allow ann user=bob", "admin user.whitelist_off ann", "admin user.unblock ann user=bob"}
		if got := s.audited(s.dev); !slices.Equal(got, want) {
			t.Errorf("audit %v", got)
		}
	})
}

// TestEveryChangeHasItsText: every change that the rules can suggest has a text.
func TestEveryChangeHasItsText(t *testing.T) {
	for _, l := range must(loadLocales()) {
		for _, change := range relations.Changes {
			if !l.has("permission.change." + string(change)) {
				t.Errorf("%s has no text for %s", l.tag, change)
			}
		}
	}
}
