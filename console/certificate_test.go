package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// wantCertificate fails the test unless the response redirects to the certificate of an erasure.
func (a *answer) wantCertificate(t *testing.T) {
	t.Helper()
	if target := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || !strings.Contains(target, "/erasures/") {
		t.Errorf("%s: %d to %q, want a certificate", a.Request.URL.Path, a.StatusCode, target)
	}
}

func TestCertificate_SaysWhatWasErased(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		ctx, path, b := t.Context(), userPath(s.dev, "ann"), s.as("admin")
		must := func(_ any, err error) {
			t.Helper()
			s.check(err)
		}
		for _, id := range []string{"bob", "cid", "dan"} {
			s.register(s.dev, id, id)
		}
		for range 2 {
			b.post(path+"/notes", url.Values{"text": {"impatient"}}).wantRedirect(t, path)
		}
		b.post(path+"/ban", url.Values{"length": {"60"}, "reason": {"spam"}}).wantRedirect(t, path)
		must(s.relations.AddFriend(ctx, s.dev, "ann", "bob", nil))
		must(s.relations.SendFriendRequest(ctx, s.dev, "cid", "ann", nil))
		must(s.relations.AddToWhitelist(ctx, s.dev, "ann", []string{"bob", "cid"}))
		must(s.relations.AddToBlocklist(ctx, s.dev, "bob", []string{"ann"}))
		must(s.deps.Subscriptions.Subscribe(ctx, s.dev, s.user(s.dev, "cid"), []string{"ann"}))

		done := b.post(path+"/deactivate", nil)
		target := done.Header.Get("Location")
		if done.StatusCode != http.StatusSeeOther || !strings.HasPrefix(target, appPath(s.dev)+"/erasures/") {
			t.Fatalf("%d to %s", done.StatusCode, target)
		}
		page := b.get(target)
		page.want(t, http.StatusOK, "Certificate of erasure", "<code>ann</code>", "<bdi>admin</bdi>", "2026-11-20 08:00:00 UTC", "ann is erased and deactivated.",
			"<dt>Friends</dt><dd>1</dd>", "!spam", "!impatient", "!<bdi>Ann</bdi>")
		saved := b.get(target + "/certificate.json")
		saved.want(t, http.StatusOK)
		var file struct {
			UserID, Action, At, By string
			Erased                 map[string]int
		}
		s.check(json.Unmarshal([]byte(saved.body), &file))
		want := map[string]int{
			"profile": 1, "friends": 1, "requests": 1, "blocklist": 0, "whitelist": 2, "subscriptions": 0, "mentions": 2,
			"bans": 1, "notes": 2, "events": 0,
		}
		for kind, n := range want {
			if file.Erased[kind] != n {
				t.Errorf("%s: %d were erased, want %d", kind, file.Erased[kind], n)
			}
		}
		if file.UserID != "ann" || file.Action != "DEACTIVATED" || file.By != "admin" || len(file.Erased) != len(want) {
			t.Errorf("%+v", file)
		}
		// It can be opened again: from the audit, and from the user's activity.
		for _, list := range []string{auditOf(s.dev, "ann"), path + "/activity"} {
			s.as("viewer").get(list).want(t, http.StatusOK, `<a href="`+target+`">Certificate</a>`, "!friends=1")
		}
		b.post(path+"/deactivate", nil).wantRedirect(t, path) // nothing to erase

		deleted := b.post(userPath(s.dev, "bob")+"/delete", nil).Header.Get("Location")
		b.get(deleted).want(t, http.StatusOK, "This user was deleted.", "<code>bob</code>", "bob was deleted.", "!"+userPath(s.dev, "bob"))
		b.get(strings.Replace(deleted, s.dev.Key, s.prod.Key, 1)).want(t, http.StatusNotFound)
		s.exec("UPDATE audit_entries SET detail = '' WHERE target = 'bob'")
		b.get(deleted).want(t, http.StatusOK, "not recorded")
		s.exec("UPDATE audit_entries SET action = 'user.ban' WHERE target = 'bob'")
		b.get(deleted).want(t, http.StatusNotFound)
	})
}
