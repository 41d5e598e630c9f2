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

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestAudit(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		b.head.Set("X-Test-Address", "192.0.2.7")
		b.post(userPath(s.dev, "ann")+"/ban", url.Values{"length": {"own"}, "amount": {"36"}, "unit": {"hours"}, "reason": {"secret reason"}})
		b.post(userPath(s.prod, "ann")+"/ban", url.Values{"length": {"1440"}})
		b.get(userPath(s.dev, "ann")+"/activity").want(t, http.StatusOK, "36 hours", "192.0.2.7", "Search the audit for this user", "!1 day</span>")
		b.get(auditPath).want(t, http.StatusOK, "36 hours", "1 day", "Logged in", "Created an operator", "!secret reason", userPath(s.dev, "ann"))
		for query, want := range map[string][]string{
			"app=" + s.dev.Key:                 {"36 hours", "!1 day</span>", "!<td role=\"cell\" data-label=\"What\"><span>Logged in"},
			"action=user.ban":                  {"36 hours", "1 day"},
			"actor=admin":                      {"36 hours", "1 day"},
			"actor=ADMIN":                      {"No entries", "Show all entries"},
			"target=nobody":                    {"No entries"},
			"text=192.0.2.":                    {"36 hours", "!<bdi>viewer</bdi>"},
			"text=DMI&action=user.ban":         {"36 hours", "1 day"},
			"text=nn&app=" + s.prod.Key:        {"1 day", "!36 hours", "!were searched"},
			"text=nowhere%25":                  {"No entries", "search for a part of them", `value="nowhere%"`},
			"actor=%3Cscript%3E":               {"No entries", "!<script>"},
			"actor=%ff%00":                     {"36 hours"},
			"from=2026-11-20&until=2026-11-20": {"36 hours", `value="2026-11-20"`},
			"from=2026-11-21":                  {"No entries", "Show all entries"},
			"until=2026-11-19":                 {"No entries"},
			"app=" + s.prod.Key + "&target=ann&actor=admin&action=user.ban": {"1 day", "!36 hours"},
		} {
			b.get(auditPath+"?"+query).want(t, http.StatusOK, want...)
		}
		for _, day := range []string{"x", "2026-13-01", "2026-11-20T00:00:00Z", "%3Cscript%3E"} {
			b.get(auditPath+"?until="+day).want(t, http.StatusUnprocessableEntity, `id="until-error" role="alert"`, "!<script>alert", "!36 hours")
		}
		b.get(auditPath+"?from=soon&until=later").want(t, http.StatusUnprocessableEntity, `id="from-error"`, `id="until-error"`)
		b.get(auditPath+"?from=2026-11-21&until=2026-11-20").want(t, http.StatusUnprocessableEntity,
			`value="2026-11-20" max="9999-12-31" aria-describedby="until-error" aria-invalid="true"`, `id="until-error" role="alert">The last day is before the first.`,
			`value="2026-11-21"`, "!Enter actors and targets", "!36 hours")
		b.get(auditPath+"?app=nothing").want(t, http.StatusNotFound)
		b.get(auditPath+"?action=nothing").want(t, http.StatusNotFound)
		b.get(auditPath+"?after=nonsense").want(t, http.StatusBadRequest)
	})
}

func TestAuditPaging(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		var want []string
		s.check(db.Tx(context.Background(), func(tx *gorm.DB) error {
			for i := range 120 {
				id := fmt.Sprintf("u%03d", i)
				want = append(want, userPath(s.dev, id))
				// Several entries share one millisecond.
				e := models.AuditEntry{AppID: &s.dev.ID, At: models.Time(1000 + i/7), Actor: "x", Action: audit.ActionUserUnban, Target: id}
				if err := audit.Write(tx, e); err != nil {
					return err
				}
			}
			return nil
		}))
		slices.Reverse(want)
		b := s.as("viewer")
		var got []string
		pages := 0
		for path := auditPath + "?actor=x&app=" + s.dev.Key; path != ""; pages++ {
			links := b.get(path).links()
			path = ""
			for _, link := range links {
				if strings.HasPrefix(link, userPath(s.dev, "u")) {
					got = append(got, link)
				}
				if strings.Contains(link, "after=") {
					path = link
				}
			}
		}
		if pages != 3 || !slices.Equal(got, want) {
			t.Errorf("%d pages, %d entries: %v", pages, len(got), got)
		}
	})
}

func TestAudit_ShowsTheHeadOfTheChain(t *testing.T) {
	s := onSQLite(t)
	s.check(s.deps.Audit.Chain(t.Context()))
	head, err := s.deps.Audit.Head(t.Context())
	s.check(err)
	s.as("viewer").get(auditPath+"?actor=nobody").want(t, http.StatusOK, "No entries", ">"+head.String()+"</code>")
	if v, err := s.deps.Audit.Verify(t.Context(), &head); err != nil || v.Fault != "" {
		t.Errorf("%+v, %v", v, err)
	}
	// The chain is that of all apps.
	s.operator("limited", models.RoleAdmin, s.dev)
	s.as("limited").get(auditPath).want(t, http.StatusOK, "!"+head.String())
}

// TestActionsHaveWords: every action that the audit can record has a text.
func TestActionsHaveWords(t *testing.T) {
	locales, err := loadLocales()
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range audit.Actions() {
		if _, ok := locales[0].texts["audit."+action]; !ok {
			t.Errorf("no text for %s", action)
		}
	}
}

func TestActivity_HasNoEntriesAboutAnEndpointWithTheNumberOfTheUser(t *testing.T) {
	s := onSQLite(t)
	endpoint, _ := s.hook()
	s.register(s.dev, endpoint, "x")
	b := s.as("admin")
	b.post(userPath(s.dev, endpoint)+"/ban", url.Values{"length": {"60"}})
	b.post(endpointPath(s.dev, s.anyHook.ID)+"/disable", nil)
	b.get(userPath(s.dev, endpoint)+"/activity").want(t, http.StatusOK, "Banned", "!webhook endpoint")
	b.get(auditOf(s.dev, endpoint)).want(t, http.StatusOK, "webhook endpoint")
}

func TestAudit_NamesWebhookEndpoints(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		described := s.addEndpoint(s.dev, "https://app.example/described")
		s.changeEndpoint(described, map[string]any{"description": "Orders"})
		plain := s.addEndpoint(s.prod, "https://app.example/plain?key=hidden")
		gone := s.addEndpoint(s.dev, "https://app.example/gone")
		_, err := s.deps.Webhooks.Delete(t.Context(), s.dev, gone.ID, setup)
		s.check(err)
		number := fmt.Sprintf("Endpoint %d ", gone.ID)
		s.as("viewer").get(auditPath+"?action=webhook.create").want(t, http.StatusOK,
			`<a href="`+endpointPath(s.dev, described.ID)+`"><bdi>Orders</bdi></a>`,
			`<a href="`+endpointPath(s.prod, plain.ID)+`"><bdi>https://app.example/plain?…</bdi></a>`,
			number+`<span class="badge">deleted</span>`, `!href="`+endpointPath(s.dev, gone.ID)+`"`)
		s.as("admin").get(auditPath+"?action=webhook.create").want(t, http.StatusOK, "/plain?key=hidden</bdi>")
	})
}

// TestAudit_DaysAreThoseOfTheReader: days begin in the time zone that the browser has named.
func TestAudit_DaysAreThoseOfTheReader(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	at := models.TimeOf(time.Date(2026, 11, 9, 23, 30, 0, 0, time.UTC))
	s.check(s.db.Tx(t.Context(), func(tx *gorm.DB) error {
		return audit.Write(tx, models.AuditEntry{AppID: &s.dev.ID, At: at, Actor: "x", Action: audit.ActionUserUnban, Target: "rose"})
	}))
	for zone, day := range map[string]string{"": "2026-11-09", "Asia/Shanghai": "2026-11-10", "America/New_York": "2026-11-09", "Nowhere/City": "2026-11-09", "../../etc/passwd": "2026-11-09", "Local": "2026-11-09"} {
		b.head.Set("Cookie", zoneCookie+"="+zone)
		label := `<bdi lang="en">UTC</bdi>`
		if strings.HasPrefix(zone, "A") {
			label = `<bdi lang="en">` + zone + `</bdi>`
		}
		for _, other := range []string{"2026-11-09", "2026-11-10"} {
			want := []string{label, "rose"}
			if other != day {
				want[1] = "No entries"
			}
			b.get(auditPath+"?from="+other+"&until="+other).want(t, http.StatusOK, want...)
		}
		if rows := b.post("/console/audit.csv", url.Values{"from": {day}, "until": {day}}).table(t); len(rows) != 2 {
			t.Errorf("%q: exported %q", zone, rows)
		}
	}
}

func TestAudit_ShowsTheRetention(t *testing.T) {
	s := onSQLite(t)
	s.as("viewer").get(auditPath).want(t, http.StatusOK, "They are never deleted.")
	s.deps.AuditRetention = 365 * 24 * time.Hour
	s.serve()
	s.as("viewer").get(auditPath).want(t, http.StatusOK, "They are kept for 365 days.")
}

func TestStartOfDay(t *testing.T) {
	for _, c := range []struct{ zone, day, want string }{
		{"UTC", "2026-11-20", "2026-11-20T00:00:00Z"},
		{"Asia/Shanghai", "2026-11-20", "2026-11-19T16:00:00Z"},
		{"America/New_York", "2026-03-08", "2026-03-08T05:00:00Z"}, // has 23 hours
		{"America/New_York", "2026-03-09", "2026-03-09T04:00:00Z"},
		{"America/New_York", "2026-11-01", "2026-11-01T04:00:00Z"}, // has 25 hours
		{"America/New_York", "2026-11-02", "2026-11-02T05:00:00Z"},
		{"Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"},     // from 00:00 to 01:00
		{"America/Havana", "2026-03-08", "2026-03-08T05:00:00Z"},   // the same
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"},   // from 01:00 to 00:00
		{"America/Santiago", "2026-04-05", "2026-04-05T04:00:00Z"}, // from 00:00 to 23:00
		{"America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z"}, // from 00:00 to 01:00
	} {
		date, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		if got := startOfDay(date, zoneOf(c.zone)).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s begins at %s, want %s", c.day, c.zone, got, c.want)
		}
	}
}
