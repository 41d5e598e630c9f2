package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/models"
)

var (
	factHTML = regexp.MustCompile(`(?s)<span class="detail muted">(<span class="fact">.*?</span>|<code>[^<]*</code>)</span>`)
	tagHTML  = regexp.MustCompile(`<[^>]*>`)
)

// TestAudit_DetailsInTheReadersLanguage writes entries with the details that rules write.
func TestAudit_DetailsInTheReadersLanguage(t *testing.T) {
	s := onSQLite(t)
	cases := []struct{ action, detail, english, chinese string }{
		{audit.ActionAppSet, "friendLimit=2 (was 1000)", "Friends per user: 2 · was 1000", "好友数量上限：2 · 原为 1000"},
		{audit.ActionAppSet, "banPresets=3h Advertising\n7d Harassment (was )", "Ban presets: | 3h Advertising | 7d Harassment | was none", ""},
		{audit.ActionAppSet, "edition=PREMIUM (was FLAGSHIP) statusQueryEnabled=true (was false)",
			"Edition: Premium · was Flagship / Users may query others’ status: on · was off", ""},
		{audit.ActionAppSet, "banPresets=1h <b>", "Ban presets: 1h &lt;b&gt;", ""},
		{audit.ActionAppSet, "a later release", "a later release", "a later release"},
		{audit.ActionAppExportUsers, "searched=false state=BANNED", "State: Banned", "账号状态：已封禁"},
		{audit.ActionAppExportUsers, "searched=true presence=ONLINE presence=OFFLINE", "Found by a search / Status: | Online | Offline", ""},
		{audit.ActionAppExportUsers, "searched=false", "All users", "全部用户"},
		{audit.ActionAppExportUsers, "users=3", "Chosen users: 3", ""},
		{audit.ActionExport, "actor=true target=false text=false days=true action=user.ban", "Action: Banned / Filtered by: | Actor | Days", ""},
		{audit.ActionExport, "actor=false target=false text=false days=false", "All entries", ""},
		{audit.ActionAppCreate, "name=a b environment=DEVELOPMENT edition=STANDARD", "Name: a b / Environment: Development / Edition: Standard", ""},
		{audit.ActionAppRotateSecret, "overlap=2h0m0s", "The previous one stays valid for: 2 hours", ""},
		{audit.ActionAppCloseConnection, "transport=websocket address=192.0.2.1 node=n/1", "Transport: WebSocket / Address: 192.0.2.1 / Node: n/1", ""},
		{audit.ActionUserBan, "permanent", "Until lifted", ""},
		{audit.ActionUserAllow, "user=bob", "User: bob", ""},
		{audit.ActionUserAddNote, "note=5", "Number of the note: 5", ""},
		{audit.ActionWebhookUpdate, "changed=url,eventTypes state=DISABLED", "Changed: | URL | Events / State: Disabled", ""},
		{audit.ActionWebhookDisable, "reason=gone", "It was disabled because the receiver responded with 410 (Gone).", ""},
	}
	entries := make([]models.AuditEntry, len(cases))
	for i, c := range cases {
		entries[len(cases)-1-i] = models.AuditEntry{At: models.TimeOf(s.clock()), Actor: "admin", Action: c.action, Target: "x", Detail: c.detail}
	}
	// The app no longer exists, so that there is no certificate.
	gone := int64(999)
	erased := audit.Erased{audit.ErasedProfile: 1, audit.ErasedFriends: 3}
	entries = append(entries, models.AuditEntry{AppID: &gone, At: models.TimeOf(s.clock()), Actor: "App Server", Action: audit.ActionUserDelete, Target: "y", Detail: erased.String()})
	s.check(s.db.Tx(t.Context(), func(tx *gorm.DB) error { return audit.Write(tx, entries...) }))
	b := s.as("admin")
	b.get(auditPath+"?action=user.delete").want(t, http.StatusOK, "Profile: name, avatar: <bdi>1</bdi>", "Friends: <bdi>3</bdi>", "!Notes of operators", "!=0")
	read := func() (got []string) {
		for _, match := range factHTML.FindAllStringSubmatch(b.get(auditPath+"?target=x").body, -1) {
			text := strings.NewReplacer(`</span><span class="fact">`, " / ", "<br>", " | ").Replace(match[1])
			got = append(got, strings.Join(strings.Fields(tagHTML.ReplaceAllString(text, "")), " "))
		}
		return got
	}
	english := read()
	b.head.Set("Accept-Language", "zh-CN")
	chinese := read()
	if len(english) != len(cases) || len(chinese) != len(cases) {
		t.Fatalf("%d and %d details, want %d: %q", len(english), len(chinese), len(cases), english)
	}
	for i, c := range cases {
		if english[i] != c.english {
			t.Errorf("%s %q is shown as %q, want %q", c.action, c.detail, english[i], c.english)
		}
		if c.chinese != "" && chinese[i] != c.chinese {
			t.Errorf("%s %q is shown as %q, want %q", c.action, c.detail, chinese[i], c.chinese)
		}
	}
}

// TestAudit_EverySettingHasItsName: changes of every setting are shown by a name.
func TestAudit_EverySettingHasItsName(t *testing.T) {
	for _, l := range must(loadLocales()) {
		for _, name := range apps.SettingNames() {
			if !l.has(settingLabel(name)) {
				t.Errorf("%s has no name for %s", l.tag, name)
			}
		}
	}
}
