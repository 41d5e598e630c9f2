package console

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUserPage_ShowsWhoBannedTheUserAndWhy(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	b.get(path+"/activity").want(t, 200, "Ban history", "No bans<", "if the user is reactivated later")
	b.get(path+"/bans").want(t, 200, "No bans<", "if the user is reactivated later")
	ban := func(length, reason string) {
		t.Helper()
		b.post(path+"/ban", url.Values{"length": {length}, "reason": {reason}}).wantRedirect(t, path)
		s.pass(time.Minute)
	}
	ban("60", "rude <b>")
	ban("permanent", "spam")
	b.post(path+"/unban", url.Values{}).wantRedirect(t, path)
	b.get(path+"/activity").want(t, 200, "rude &lt;b&gt;", "spam", "Replaced by admin", "Lifted by admin", "Until lifted", "!/bans\"")
	ban("60", "late")
	b.get(path+"/activity").want(t, 200, "In force")
	s.pass(2 * time.Hour)
	b.get(path+"/activity").want(t, 200, "Expired")
	for range 3 {
		ban("60", "more")
	}
	viewer := s.as("viewer")
	page := viewer.get(path + "/activity")
	page.want(t, 200, "All bans", path+"/bans", "!rude") // five of six
	whole := viewer.get(path + "/bans")
	whole.want(t, 200, "rude &lt;b&gt;", "late", "more")
	if n := strings.Count(whole.body, `role="rowheader"`); n != 6 {
		t.Errorf("%d bans, want 6", n)
	}
	b.post(path+"/deactivate", nil)
	for _, page := range []string{"/relationships", "/friends"} {
		b.get(path+page).want(t, 200, "The user is deactivated: all friends, requests and lists were erased.", "!appear here")
	}
	for _, page := range []string{"/activity", "/bans"} {
		b.get(path+page).want(t, 200, "The ban history was erased with the deactivation.", "!No bans<")
	}
}
