package console

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/users"
)

func TestBanPresets_AreSetByAdminsAndUsedInForms(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	settings, path := settingsPath(s.dev), userPath(s.dev, "ann")
	form := b.get(settings).form()
	form.Set("banPresets", "3h Advertising\r\npermanent Fraud")
	b.post(settings, form).wantRedirect(t, settings)
	wrong := b.get(settings).form()
	wrong.Set("banPresets", "3h Spam\r\n\r\nsoon <Spam>")
	b.post(settings, wrong).want(t, http.StatusUnprocessableEntity, `id="banPresets-error" role="alert"`, "Line 3 is: <bdi>soon &lt;Spam&gt;</bdi>")
	wrong.Set("banPresets", "1m\n2m\n3m\n4m\n5m\n6m\n7m\n8m\n9m\n10m\n11m")
	b.post(settings, wrong).want(t, http.StatusUnprocessableEntity, `id="banPresets-error" role="alert">Enter at most 10 different lines.`)
	wrong.Set("banPresets", "3h \xff")
	b.post(settings, wrong).want(t, http.StatusUnprocessableEntity, `id="banPresets-error" role="alert">This value is invalid.`)
	b.get(settings).want(t, http.StatusOK, ">\n3h Advertising\npermanent Fraud</textarea>")
	for _, page := range []string{path + "/ban", bulkPath(s.dev) + "/ban?id=ann"} {
		b.get(page).want(t, http.StatusOK, `value="preset 3h Advertising"> <span>3 hours · <bdi>Advertising</bdi>`, "Until lifted · <bdi>Fraud</bdi>", "Leave it empty", `value="60"`, "Presets of this app", "Other lengths")
	}
	b.get(userPath(s.prod, "ann")+"/ban").want(t, http.StatusOK, "!preset", "!Other lengths")
	// Chinese has no space between sentences.
	b.head.Set("Accept-Language", "zh-CN")
	b.get(path+"/ban").want(t, http.StatusOK, "可留空。留空则")
	b.get(auditPath).want(t, http.StatusOK, "记录不可更改。记录")
	b.head.Del("Accept-Language")

	ban := func(length, amount, reason string) *answer {
		t.Helper()
		return b.post(path+"/ban", url.Values{"length": {length}, "amount": {amount}, "reason": {reason}})
	}
	ban("preset 3h Advertising", "", "").wantRedirect(t, path)
	if u := s.user(s.dev, "ann"); *u.BannedUntil != u.BannedAt.Add(3*time.Hour) || *u.BanReason != "Advertising" {
		t.Errorf("banned from %s to %s for %q", u.BannedAt, u.BannedUntil, *u.BanReason)
	}
	ban("preset permanent Fraud", "", "worse").wantRedirect(t, path)
	if u := s.user(s.dev, "ann"); u.BanEnd() != nil || *u.BanReason != "worse" {
		t.Errorf("banned to %s for %q", u.BannedUntil, *u.BanReason)
	}
	// The reason of the ban in force is not that of another preset, unless the operator changes it.
	for _, step := range []struct{ reason, want string }{{"worse", "Advertising"}, {"both", "both"}, {"both", "Advertising"}, {"", "Advertising"}} {
		change := b.get(path + "/ban").form()
		change.Set("length", "preset 3h Advertising")
		change.Set("reason", step.reason)
		b.post(path+"/ban", change).wantRedirect(t, path)
		if u := s.user(s.dev, "ann"); *u.BanReason != step.want {
			t.Errorf("the reason %q becomes %q, want %q", step.reason, *u.BanReason, step.want)
		}
	}
	ban("preset 5h Gone", "", "").want(t, http.StatusUnprocessableEntity, "Choose how long")
	ban("preset 3h Advertising", "5", "").want(t, http.StatusUnprocessableEntity, "Another length is chosen above", `value="preset 3h Advertising" checked`)

	form = b.get(settings).form()
	form.Set("banPresets", "soon")
	b.post(settings, form).want(t, http.StatusUnprocessableEntity, `id="banPresets-error"`, ">\nsoon</textarea>")
	// A form without the field changes nothing, and one that was loaded before asks.
	form.Del("banPresets")
	form.Set("friendLimit", "7")
	b.post(settings, form).wantRedirect(t, settings)
	b.get(settings).want(t, http.StatusOK, "3h Advertising", `value="7"`)
	form.Set("banPresets", "1d")
	form.Set("loaded.banPresets", "2d")
	b.post(settings, form).want(t, http.StatusConflict, `id="banPresets-error"`, "3h Advertising")
}

// TestBanPresets_HaveTheBoundsOfBans: rules do not import each other, so the bounds stand in two places.
func TestBanPresets_HaveTheBoundsOfBans(t *testing.T) {
	preset, sentence := reflect.TypeFor[apps.BanPreset](), reflect.TypeFor[users.Sentence]()
	for name, optional := range map[string]string{"Length": "", "Reason": "omitnil,"} {
		of, _ := preset.FieldByName(name)
		want, _ := sentence.FieldByName(name)
		if got := optional + of.Tag.Get("validate"); got != want.Tag.Get("validate") {
			t.Errorf("%s: %s, want %s", name, got, want.Tag.Get("validate"))
		}
	}
}
