package console

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// table parses a response as CSV.
func (a *answer) table(t *testing.T) [][]string {
	t.Helper()
	body, marked := strings.CutPrefix(a.body, "\uFEFF")
	if !marked {
		t.Error("no byte order mark")
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return rows
}

func TestExport(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		for id, name := range map[string]string{"=cmd": `=HYPERLINK("http://evil.example","x")`, "li": "李丽, \"Lily\"", "bad": "Bad"} {
			s.register(s.dev, id, name)
		}
		reason := "+spam"
		by := models.Actor{Name: setup.Name}
		_, err := s.users.Ban(ctx, s.dev, []string{"bad"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
		s.check(err)
		_, err = s.users.Deactivate(ctx, s.dev, []string{"ann"}, by)
		s.check(err)
		s.connect(s.dev, "li", silent{})
		b := s.as("admin")
		path := usersPath(s.dev) + ".csv"
		b.get(usersPath(s.dev)+"?show=banned&q=b").want(t, http.StatusOK, `action="`+path+`"`, `name="q" value="b"`, `name="show" value="banned"`)
		s.as("viewer").get(usersPath(s.dev)).want(t, http.StatusOK, "!Export CSV", "!Export banned")
		// One act exports the banned users, whatever is searched or ticked.
		banned := `<input type="hidden" name="show" value="banned">
      <button class="small" formmethod="post" formaction="` + path + `">Export banned users</button>`
		b.get(usersPath(s.dev)+"?q=li").want(t, http.StatusOK, banned)
		b.get(usersPath(s.dev)+"?show=banned").want(t, http.StatusOK, "Export CSV", "!Export banned")

		got := b.post(path, nil)
		kind, attributes, err := mime.ParseMediaType(got.Header.Get("Content-Disposition"))
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/csv; charset=utf-8" || err != nil ||
			kind != "attachment" || attributes["filename"] != "users-demo-2026-11-20.csv" {
			t.Errorf("%d %v", got.StatusCode, got.Header)
		}
		const at = "2026-11-20T08:00:00.000Z"
		want := [][]string{
			{"id", "name", "avatarUrl", "state", "presence", "registeredAt", "bannedUntil", "banReason", "deactivatedAt"},
			{"bad", "Bad", "", "BANNED", "UNLOGINED", at, "2026-11-20T09:00:00.000Z", "'+spam", ""},
			{"li", `李丽, "Lily"`, "", "ACTIVE", "ONLINE", at, "", "", ""},
			{"'=cmd", `'=HYPERLINK("http://evil.example","x")`, "", "ACTIVE", "UNLOGINED", at, "", "", ""},
			{"ann", "", "", "DEACTIVATED", "UNLOGINED", at, "", "", at},
		}
		rows := got.table(t)
		for _, list := range [][][]string{want, rows} { // users of the same millisecond have any order
			slices.SortFunc(list[1:], slices.Compare)
		}
		if !slices.EqualFunc(rows, want, slices.Equal) {
			t.Errorf("%q", rows)
		}
		for form, ids := range map[string]string{"show=banned": "bad", "q=李丽": "li", "show=active&q=lily": "li", "show=deactivated&q=lily": ""} {
			values, err := url.ParseQuery(form)
			s.check(err)
			var found []string
			for _, row := range b.post(path, values).table(t)[1:] {
				found = append(found, row[0])
			}
			if strings.Join(found, " ") != ids {
				t.Errorf("%s: %q", form, found)
			}
		}
		chosen := url.Values{"id": {"li", "nobody", "ann"}, "show": {"banned"}}
		var found []string
		for _, row := range b.post(path, chosen).table(t)[1:] {
			found = append(found, row[0])
		}
		if !slices.Equal(found, []string{"li", "ann"}) {
			t.Errorf("of the chosen users: %q", found)
		}
		lines := b.post(usersPath(s.dev)+".ndjson", url.Values{"id": {"bad", "=cmd"}})
		wantLines := `{"id":"bad","name":"Bad","avatarUrl":null,"state":"BANNED","presence":"UNLOGINED","registeredAt":"` + at +
			`","bannedUntil":"2026-11-20T09:00:00.000Z","banReason":"+spam","deactivatedAt":null}` + "\n" +
			`{"id":"=cmd","name":"=HYPERLINK(\"http://evil.example\",\"x\")","avatarUrl":null,"state":"ACTIVE","presence":"UNLOGINED","registeredAt":"` + at +
			`","bannedUntil":null,"banReason":null,"deactivatedAt":null}` + "\n"
		if lines.body != wantLines || lines.Header.Get("Content-Type") != "application/x-ndjson" ||
			lines.Header.Get("Content-Disposition") != "attachment; filename=users-demo-2026-11-20.ndjson" {
			t.Errorf("%v\n%s\nwant\n%s", lines.Header, lines.body, wantLines)
		}
		b.post(path, url.Values{"show": {"nonsense"}}).want(t, http.StatusNotFound)
		b.get(path).want(t, http.StatusNotFound)
		want2 := []string{
			"searched=false", "searched=false state=BANNED", "searched=true", "searched=true state=ACTIVE", "searched=true state=DEACTIVATED",
			"users=2", "users=3",
		}
		var details []string
		for _, line := range s.audited(s.dev) {
			details = append(details, strings.TrimPrefix(line, "admin app.export_users "+s.dev.Key+" "))
		}
		if slices.Sort(details); !slices.Equal(details, want2) {
			t.Errorf("audit %q", details)
		}
		b.get(auditPath+"?action=app.export_users").want(t, http.StatusOK, "Exported users")
	})
}

// TestExportAudit: the entries that the filter selects, with the export itself, by admins only.
func TestExportAudit(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	b.head.Set("X-Test-Address", "192.0.2.7")
	b.post(userPath(s.dev, "ann")+"/ban", url.Values{"length": {"60"}})
	filter := url.Values{"app": {s.dev.Key}, "actor": {"admin"}}
	b.get(auditPath+"?"+filter.Encode()).want(t, http.StatusOK, `formaction="/console/audit.ndjson"`, `name="app" value="`+s.dev.Key+`"`)
	s.as("viewer").get(auditPath).want(t, http.StatusOK, "!Export CSV")
	const at = "2026-11-20T08:00:00.000Z"
	want := [][]string{
		{"at", "app", "actor", "action", "target", "detail", "address", "apiKey"},
		{at, s.dev.Key, "admin", "audit.export", "", "actor=true target=false text=false days=false", "192.0.2.7", ""},
		{at, s.dev.Key, "admin", "user.ban", "ann", "minutes=60", "192.0.2.7", ""},
	}
	if rows := b.post("/console/audit.csv", filter).table(t); !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("%q", rows)
	}
	filter.Set("action", "user.ban")
	line := `{"at":"` + at + `","app":"` + s.dev.Key + `","actor":"admin","action":"user.ban","target":"ann","detail":"minutes=60","address":"192.0.2.7","apiKey":null}` + "\n"
	if got := b.post("/console/audit.ndjson", filter).body; got != line {
		t.Errorf("%s, want %s", got, line)
	}
	b.get(auditPath+"?text=UTES%3D6").want(t, http.StatusOK, `name="text" value="UTES=6"`)
	if rows := b.post("/console/audit.csv", url.Values{"text": {"UTES=6"}}).table(t); len(rows) != 2 || rows[1][3] != "user.ban" {
		t.Errorf("by text: %q", rows)
	}
	b.post("/console/audit.csv", url.Values{"from": {"soon"}}).want(t, http.StatusBadRequest)
	b.post("/console/audit.csv", url.Values{"app": {"nonsense"}}).want(t, http.StatusNotFound)
}

// TestExportOfMany: an export of several pages has each user once.
func TestExportOfMany(t *testing.T) {
	s := onSQLite(t)
	s.check(s.users.Seed(context.Background(), s.prod, 1300, func(int) { s.pass(time.Millisecond) }))
	rows := s.as("admin").post(usersPath(s.prod)+".csv", nil).table(t)
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		seen[row[0]] = true
	}
	if len(rows) != 1302 || len(seen) != 1301 {
		t.Errorf("%d rows, %d users", len(rows), len(seen))
	}
}

// brokenExport fails in the middle, or before it begins.
type brokenExport struct {
	Users
	pages int
}

func (b brokenExport) Export(_ context.Context, _ *models.App, _ users.Filter, _ models.Actor, write func([]*models.User) error) error {
	for range b.pages {
		if err := write([]*models.User{{ExternalID: "ann"}}); err != nil {
			return err
		}
	}
	return errors.New("secret SQL")
}

// TestExport_FailureIsVisible: an export that fails must not look complete.
func TestExport_FailureIsVisible(t *testing.T) {
	s := onSQLite(t)
	s.deps.Users = brokenExport{s.users, 0}
	s.serve()
	s.as("admin").post(usersPath(s.dev)+".csv", nil).want(t, http.StatusInternalServerError, "Something went wrong", "!secret SQL")
	s.deps.Users = brokenExport{s.users, 3}
	s.serve()
	b := s.as("admin")
	response, err := b.client.PostForm(b.url+usersPath(s.dev)+".csv", nil)
	s.check(err)
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err == nil {
		t.Errorf("read completely: %s", body.String())
	}
	if !strings.Contains(s.log.String(), "secret SQL") {
		t.Error("the log does not say why")
	}
}

func TestInertCell(t *testing.T) {
	for _, start := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		if got := inertCell(start + "1"); got != "'"+start+"1" {
			t.Errorf("%q became %q", start+"1", got)
		}
	}
	for _, text := range []string{"", "a=1", "1-2", "李丽", "'x", " =1"} {
		if got := inertCell(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestExportName(t *testing.T) {
	c := &console{Deps: Deps{Clock: func() time.Time { return time.Date(2026, 11, 20, 23, 0, 0, 0, time.FixedZone("", 3600)) }}}
	for name, want := range map[string]string{
		"demo": "users-demo-2026-11-20.csv", "../../x": "users-------x-2026-11-20.csv", "聊天 2": "users-聊天-2-2026-11-20.csv", `a";b=c`: "users-a--b-c-2026-11-20.csv",
	} {
		if got := c.exportName("users", name) + ".csv"; got != want {
			t.Errorf("%s: %s", fmt.Sprintf("%q", name), got)
		}
	}
}
