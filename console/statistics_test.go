package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/relations"
	"rollcall/internal/users"
	"rollcall/models"
)

// past writes registrations, the peak, active users and refused messages of an hour of the development
// app, and of its day.
func (s *site) past(at time.Time, registrations, peak, daily, refused int) {
	s.t.Helper()
	for _, span := range []time.Duration{time.Hour, 24 * time.Hour} {
		s.check(s.db.Exec(context.Background(), `INSERT INTO app_figures
			(app_id, span, begins_at, registrations, peak_online, daily_active, monthly_active, not_friends) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			s.dev.ID, span.Milliseconds(), models.TimeOf(at.Truncate(span)), registrations, peak, daily, daily, refused))
	}
}

// age sets since when the development app exists.
func (s *site) age(age time.Duration) {
	s.t.Helper()
	s.check(s.db.Exec(context.Background(), "UPDATE apps SET created_at = ? WHERE id = ?", models.TimeOf(s.clock().Add(-age)), s.dev.ID))
}

// rowOf returns a row of a table as the page has it.
func rowOf(begin, label string, value, before any) string {
	return fmt.Sprintf(`<time datetime="%s">%s</time></th><td>%v</td><td>%v</td>`, begin, label, value, before)
}

func TestStatistics_ComparesEachFigureWithTheRangeBefore(t *testing.T) {
	s := onSQLite(t)
	ctx := context.Background()
	s.age(100 * 24 * time.Hour)
	s.past(s.clock().Add(-40*24*time.Hour), 2000, 30, 50, 4)
	s.past(s.clock().Add(-24*time.Hour), 3, 40, 60, 0)
	s.past(s.clock().Add(-59*24*time.Hour), 0, 1, 1, 1)
	s.register(s.dev, "bob", "Bob")
	_, err := s.users.Ban(ctx, s.dev, []string{"bob"}, users.Sentence{Length: time.Hour}, models.Actor{Name: "test"})
	s.check(err)
	for range 3 {
		_, err = s.relations.Permissions(ctx, s.dev, []relations.Pair{{From: "ann", To: "bob"}, {From: "bob", To: "ann"}})
		s.check(err)
	}
	s.connect(s.dev, "ann", silent{})
	s.record()
	b := s.as("viewer")
	today, yesterday := "2026-11-20T00:00:00.000Z", "2026-11-19T00:00:00.000Z"
	b.get(statisticsPath(s.dev)).want(t, http.StatusOK,
		`href="/console/apps/`+s.dev.Key+`/statistics?range=month" aria-current="true"`,
		`<strong>5</strong> in total <span class="muted">2,000 before <b>`+"\u2212"+`100%</b>`,
		rowOf(today, "2026-11-20", 2, 0), rowOf(yesterday, "2026-11-19", 3, 0),
		`<strong>40</strong> at most <span class="muted">30 before <b>&#43;33%</b>`,
		`id="dailyActive-summary"><strong>31</strong> on average`, rowOf(today, "2026-11-20", 1, "–"), // of 60 and 1
		`id="monthlyActive-summary"><strong>1</strong> most recently`,
		`id="bans-summary"><strong>1</strong> in total <span class="muted">0 before</span>`,
		`id="messages-summary"><strong>6</strong> in total <span class="muted">5 before <b>&#43;20%</b>`,
		`id="refused-summary"><strong>3</strong> in total`,
		`<th scope="row">Sender banned</th><td>3</td><td>0</td>`, `<th scope="row">Not friends</th><td>0</td><td>5</td>`,
		`Time zone: <bdi lang="en">UTC<`, "!no data",
	)
	// A range that begins before the app has no data, and the day is that of the reader.
	b.get(statisticsPath(s.dev)+"?range=year&zone=Asia/Shanghai").want(t, http.StatusOK, "no data for the range before", `<bdi lang="en">Asia/Shanghai<`,
		`<time datetime="2026-11-13T16:00:00.000Z">2026-11-14</time></th><td>5</td><td>–</td>`)
	b.get(statisticsPath(s.dev)+"/now?range=week").want(t, http.StatusOK, `id="peakOnline-rows"`, "!<html")
	// Active users are counted by the hour, so an hour has none.
	b.get(statisticsPath(s.dev)+"?range=hour").want(t, http.StatusOK, "08:00 UTC", `<strong>2</strong> in total`, "!Daily active")
	// Nothing has happened in the other app but a registration.
	b.get(statisticsPath(s.dev)+"?range=custom&from=2025-01-01&to=2025-01-05").want(t, http.StatusOK,
		"There is no data for this range. The data begins on 2026-09-22.", "!No user has been online yet")
	b.get(statisticsPath(s.prod)).want(t, http.StatusOK, "No user has been online yet", "No message has been asked for yet",
		`id="bans-summary"><strong>0</strong> in total <span class="muted">no data for the range before`)
}

func TestStatistics_CustomRanges(t *testing.T) {
	s := onSQLite(t)
	s.age(700 * 24 * time.Hour)
	s.past(time.Date(2026, 11, 19, 22, 0, 0, 0, time.UTC), 7, 0, 0, 0)
	b := s.as("viewer")
	path := statisticsPath(s.dev) + "?range=custom&"
	for query, says := range map[string][]string{
		"from=2026-11-19&to=2026-11-19": {rowOf("2026-11-19T22:00:00.000Z", "2026-11-19 22:00 UTC", 7, 0), "<strong>7</strong> in total",
			`value="2026-11-19"`, "!2026-11-20"},
		"from=2026-11-01&to=2026-11-20": {rowOf("2026-11-19T00:00:00.000Z", "2026-11-19", 7, 0)},
		"from=2026-01-01&to=2026-11-20": {rowOf("2026-11-19T00:00:00.000Z", "2026-11-19", 7, 0), ">Week from<"},
		"from=2026-08-01&to=2026-11-20": {rowOf("2026-11-14T00:00:00.000Z", "2026-11-14", 7, 0)},
		"from=2026-11-20&to=2026-11-20&zone=Asia/Shanghai": {rowOf("2026-11-19T22:00:00.000Z", "2026-11-19 22:00 UTC", 7, 0),
			// What is to come is not 0.
			rowOf("2026-11-20T09:00:00.000Z", "2026-11-20 09:00 UTC", "–", 0)},
		"from=2026-11-20&to=2026-11-19": {"must not be after", `aria-invalid="true"`, `value="2026-11-20"`, "!2026-11-20T08:00"},
		"from=2026-11-21&to=2026-11-21": {"must not be in the future"},
		"from=2025-01-01&to=2026-11-20": {"at most 366 days"},
		"from=yesterday&to=2026-11-19":  {"as year-month-day"},
		"from=&to=":                     {"as year-month-day"},
	} {
		b.get(path+query).want(t, http.StatusOK, says...)
	}
	b.get(statisticsPath(s.dev)+"?range=decade&zone=..%2Fetc").want(t, http.StatusOK, `?range=month" aria-current="true"`, `Time zone: <bdi lang="en">UTC<`)
}

func TestStatistics_AsCSV(t *testing.T) {
	s := onSQLite(t)
	s.age(100 * 24 * time.Hour)
	s.past(s.clock().Add(-7*24*time.Hour), 1200, 30, 50, 4)
	s.past(s.clock().Add(-time.Hour), 2, 40, 60, 9)
	b := s.as("viewer")
	page := b.get(statisticsPath(s.dev) + "?range=week")
	files := map[string]string{}
	for _, link := range page.links() {
		if path, query, ok := strings.Cut(link, ".csv?"); ok && path == statisticsPath(s.dev) {
			values, err := url.ParseQuery(query)
			s.check(err)
			files[values.Get("figure")] = link
		}
	}
	if len(files) != 1+len(statisticKinds) {
		t.Fatalf("links to %d files: %v", len(files), files)
	}
	lines := func(figure string) []string {
		got := b.get(files[figure])
		got.want(t, http.StatusOK)
		if disposition := got.Header.Get("Content-Disposition"); disposition != "attachment; filename=statistics-demo-2026-11-20.csv" {
			t.Errorf("the file is %s", disposition)
		}
		return strings.Split(strings.TrimPrefix(got.body, byteOrderMark), "\r\n")
	}
	want := func(figure string, n int, line string) {
		t.Helper()
		if got := lines(figure); len(got) != 7+2 || got[n] != line {
			t.Errorf("%s: %q, want %q in line %d", figure, got, line, n)
		}
	}
	want("registrations", 0, "beginsAt,registrations,registrationsBefore")
	want("registrations", 7, "2026-11-20T00:00:00.000Z,2,1200")
	want("registrations", 6, "2026-11-19T00:00:00.000Z,0,0")
	want("dailyActive", 6, "2026-11-19T00:00:00.000Z,,") // not counted
	want("refused", 0, "beginsAt,refused,refusedBefore,SENDER_NOT_FOUND,SENDER_DEACTIVATED,SENDER_BANNED,RECIPIENT_NOT_FOUND,RECIPIENT_DEACTIVATED,"+
		"NOT_IN_WHITELIST,BLOCKED_BY_RECIPIENT,NOT_FRIENDS")
	want("refused", 7, "2026-11-20T00:00:00.000Z,9,,0,0,0,0,0,0,0,9")
	if head := lines("")[0]; !strings.HasPrefix(head, "beginsAt,registrations,registrationsBefore,peakOnline,") || !strings.HasSuffix(head, ",NOT_FRIENDS") {
		t.Errorf("all figures: %s", head)
	}
	b.get(statisticsPath(s.dev)+".csv?figure=nothing").want(t, http.StatusNotFound)
	b.get(statisticsPath(s.dev)+".csv?range=custom&from=2026-11-20&to=2026-11-19").want(t, http.StatusBadRequest)
}

func TestPercent(t *testing.T) {
	for change, want := range map[float64]string{0.004: "+0%", 0.125: "+13%", 12: "+1,200%", -0.5: "\u221250%", -1: "\u2212100%"} {
		if got := percent(change); got != want {
			t.Errorf("percent(%v) = %q, want %q", change, got, want)
		}
	}
}
