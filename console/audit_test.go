package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

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
		b.get(auditPath+"?from=2026-11-21&until=2026-11-20").want(t, http.StatusUnprocessableEntity,
			`value="2026-11-20" max="9999-12-31" aria-invalid="true"`, `id="until-error" role="alert">The last day is before the first.`,
			`value="2026-11-21"`, "!Enter names and IDs", "!36 hours")
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
