package figures

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// world is two apps whose users, bans and online counts a test sets.
type world struct {
	t      *testing.T
	db     *database.DB
	now    time.Time
	online map[int64]int
	// away is true while the online users cannot be counted.
	away  bool
	bans  []models.BucketCount // at any time
	users int
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, now: time.Date(2026, 11, 20, 8, 30, 5, 0, time.UTC), online: map[int64]int{}}
		for id := int64(1); id <= 2; id++ {
			app := &models.App{
				ID: id, Key: fmt.Sprint("key", id), Name: fmt.Sprint("app", id), SecretHash: []byte("x"),
				Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship, Settings: models.DefaultAppSettings(),
				CreatedAt: models.TimeOf(w.now.Add(-10 * 24 * time.Hour)),
			}
			w.check(db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Create(app).Error }))
		}
		test(w)
	})
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	w.check(w.db.Exec(context.Background(), sql, args...))
}

// node is a process that records.
type node struct {
	*Recorder
	decided map[int64]Values
}

// node returns another process.
func (w *world) node() *node {
	n := &node{decided: map[int64]Values{}}
	n.Recorder = New(w.db, Sources{
		Online: func(_ context.Context, app int64) (int, error) {
			if w.away {
				return 0, errors.New("away")
			}
			return w.online[app], nil
		},
		Bans: func(_ context.Context, span time.Duration, from models.Time) (rows []models.BucketCount, err error) {
			for _, b := range w.bans {
				if at := begin(b.BeginsAt, span.Milliseconds()); b.BeginsAt >= from {
					rows = append(rows, models.BucketCount{AppID: b.AppID, BeginsAt: at, Count: b.Count})
				}
			}
			return rows, nil
		},
		Decided: func(add func(int64, Figure, int64)) {
			for app, v := range n.decided {
				for f := firstDecision; int(f) < count; f++ {
					add(app, f, v[f])
				}
			}
		},
	}, func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
	return n
}

// decide makes decisions in a process.
func (n *node) decide(app int64, f Figure, more int64) {
	v := n.decided[app]
	v[f] += more
	n.decided[app] = v
}

func (w *world) record(n *node) {
	w.t.Helper()
	w.check(n.Record(context.Background()))
}

// register creates n users of an app, registered that long ago.
func (w *world) register(app int64, n int, ago time.Duration) {
	w.t.Helper()
	for range n {
		w.users++
		at := models.TimeOf(w.now.Add(-ago))
		w.exec(`INSERT INTO users (app_id, external_id, name, search_name, created_at, updated_at, token_generation, tokens_valid_from, presence)
			VALUES (?, ?, '', '', ?, ?, 0, 0, 0)`, app, fmt.Sprint("u", w.users), at, at)
	}
}

// read returns the points of a range.
func (w *world) read(n *node, app int64, g Range) []Point {
	w.t.Helper()
	points, err := n.Read(context.Background(), app, g)
	w.check(err)
	if len(points) != len(g.Starts) {
		w.t.Errorf("%d points for %d", len(points), len(g.Starts))
	}
	return points
}

// hour and days return the registrations and the peaks of an app in the last hour and in the last 30
// days, without the points in which nothing happened.
func (w *world) hour(n *node, app int64) string {
	w.t.Helper()
	g, _ := LastMinutes(w.now, 60)
	return show(w.read(n, app, g), "15:04", time.UTC, Registrations, PeakOnline)
}

func (w *world) days(n *node, app int64, zone *time.Location) string {
	w.t.Helper()
	g, _ := DaysTo(w.now.In(zone), Days, 30)
	return show(w.read(n, app, g), "Jan 2 15:04", zone, Registrations, PeakOnline)
}

func show(points []Point, format string, zone *time.Location, list ...Figure) (text string) {
	for _, p := range points {
		values, any := "", int64(0)
		for _, f := range list {
			values, any = fmt.Sprint(values, " ", p.Values[f]), any|p.Values[f]
		}
		if any > 0 {
			text += "[" + p.BeginsAt.Time().In(zone).Format(format) + values + "]"
		}
	}
	return text
}

func (w *world) want(got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("got %s, want %s", got, want)
	}
}

func TestMinutesAndDays(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.online[1] = 3
		w.register(1, 2, 0)
		w.record(r)
		w.online[1] = 5
		w.record(r)
		w.online[1] = 1
		w.register(1, 1, 0)
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 3 5]")
		w.want(w.hour(r, 2), "")
		w.now = w.now.Add(time.Minute)
		w.register(1, 1, 0)
		w.register(2, 4, 0)
		w.register(1, 1, time.Minute) // committed late
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 4 5][08:31 1 1]")
		w.want(w.hour(r, 2), "[08:31 4 0]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 5 5]")
		w.now = w.now.Add(time.Minute)
		w.want(w.hour(r, 1), "[08:30 4 5][08:31 1 1][08:32 0 1]") // not counted yet
		w.now = w.now.Add(time.Hour - time.Minute)
		w.record(r)
		w.want(w.hour(r, 1), "[09:31 0 1]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 5 5]")
	})
}

func TestDaysOfTheReader(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 1, 0)                 // Nov 20 08:30 UTC
		w.register(1, 10, 14*time.Hour)     // Nov 19 18:30 UTC
		w.register(1, 100, 18*24*time.Hour) // Nov 2 08:30 UTC
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Nov 2 00:00 100 0][Nov 19 00:00 10 0][Nov 20 00:00 1 0]")
		w.want(w.days(r, 1, time.FixedZone("+8", 8*3600)), "[Nov 2 00:00 100 0][Nov 20 00:00 11 0]")
		zone, err := time.LoadLocation("America/New_York") // the clocks went back on Nov 1
		w.check(err)
		w.want(w.days(r, 1, zone), "[Nov 2 00:00 100 0][Nov 19 00:00 10 0][Nov 20 00:00 1 0]")
	})
}

// TestCatchUp counts what happened while no node was recording.
func TestCatchUp(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 7, 29*24*time.Hour)
		w.register(1, 5, 60*24*time.Hour)
		w.register(1, 2, 10*time.Minute)
		r := w.node()
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Oct 22 00:00 7 0][Nov 20 00:00 2 0]")
		weeks, _ := DaysTo(w.now, Weeks, 52*7)
		w.want(show(w.read(r, 1, weeks), "Jan 2", time.UTC, Registrations), "[Sep 19 5][Oct 17 7][Nov 14 2]")
		w.want(w.hour(r, 1), "[08:20 2 0]")

		w.now = w.now.Add(2 * 24 * time.Hour)
		w.register(1, 1, 24*time.Hour)
		r = w.node()
		w.record(r)
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 2 0][Nov 21 00:00 1 0]")
	})
}

// TestDeletionChangesNoHistory: counts stay after users are deleted.
func TestDeletionChangesNoHistory(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 3, 0)
		w.record(r)
		w.exec("DELETE FROM users")
		w.record(r)
		r = w.node()
		w.record(r)
		w.want(w.hour(r, 1), "[08:30 3 0]")
		w.want(w.days(r, 1, time.UTC), "[Nov 20 00:00 3 0]")
	})
}

func TestNodesDoNotCountTwice(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 3, 0)
		w.register(2, 2, 40*time.Minute)
		w.online[1] = 4
		nodes := []*node{w.node(), w.node(), w.node(), w.node()}
		var all sync.WaitGroup
		for range 3 {
			for _, r := range nodes {
				all.Go(func() {
					if err := r.Record(context.Background()); err != nil {
						w.t.Error(err)
					}
				})
			}
			all.Wait()
		}
		w.want(w.hour(nodes[0], 1), "[08:30 3 4]")
		w.want(w.days(nodes[1], 1, time.UTC), "[Nov 20 00:00 3 4]")
		w.want(w.days(nodes[2], 2, time.UTC), "[Nov 20 00:00 2 0]")
	})
}

// TestQuietAppsCostNoWrite: unchanged figures are not written again.
func TestQuietAppsCostNoWrite(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.online[2] = 1
		w.register(1, 1, 0)
		w.record(r)
		w.exec("DELETE FROM app_figures")
		w.record(r)
		w.online[2] = 0
		w.want(w.hour(r, 1)+w.hour(r, 2), "")
	})
}

func TestFigures_OldOnesAreDeleted(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.register(1, 1, 0)
		w.online[2] = 1
		w.record(r)
		buckets := func() (n int) {
			w.check(w.db.Read(context.Background()).Raw("SELECT COUNT(*) FROM app_figures").Scan(&n).Error)
			return n
		}
		w.online[2] = 0
		for _, step := range []struct {
			pass time.Duration
			left int
		}{{0, 6}, {minutesKept + time.Minute, 4}, {kept - 24*time.Hour, 4}, {24 * time.Hour, 0}} {
			w.now = w.now.Add(step.pass)
			w.record(r)
			if n := buckets(); n != step.left {
				w.t.Errorf("after %s there are %d buckets, want %d", step.pass, n, step.left)
			}
		}
	})
}

// TestFigures_LongUnusedDatabaseIsSweptInSlices: no statement removes more than some buckets of each app.
func TestFigures_LongUnusedDatabaseIsSweptInSlices(t *testing.T) {
	each(t, func(w *world) {
		for i := range 25 {
			w.exec("INSERT INTO app_figures (app_id, span, begins_at, registrations, peak_online) VALUES (1, ?, ?, 1, 1)", hour, i*int(hour))
		}
		r := w.node()
		deletes := 0
		for _, s := range testenv.Statements(w.t, w.db, func() { w.record(r) }) {
			if strings.HasPrefix(s.SQL, "DELETE") {
				deletes++
			}
		}
		if deletes != 3 {
			w.t.Errorf("%d statements delete 25 buckets", deletes)
		}
	})
}

// TestRun_WritesDecisionsAtItsEnd: a process that ends in order loses none.
func TestRun_WritesDecisionsAtItsEnd(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		r.decide(1, Allowed, 5)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r.Run(ctx)
		w.want(w.decisions(r, 1), "[08:30 5 0 0]")
	})
}

// decisions returns those of the last hour: allowed, without a sender, and between users that are no
// friends.
func (w *world) decisions(n *node, app int64) string {
	w.t.Helper()
	g, _ := LastMinutes(w.now, 60)
	return show(w.read(n, app, g), "15:04", time.UTC, Allowed, ByReason("SENDER_NOT_FOUND"), ByReason("NOT_FRIENDS"))
}

func TestDecisions_OfNodesAddUp(t *testing.T) {
	each(t, func(w *world) {
		nodes := []*node{w.node(), w.node(), w.node()}
		for round := range 3 {
			var all sync.WaitGroup
			for _, n := range nodes {
				n.decide(1, Allowed, 10)
				n.decide(1, ByReason("NOT_FRIENDS"), 2)
				n.decide(2, ByReason("SENDER_NOT_FOUND"), int64(round))
				all.Go(func() {
					for range 2 { // a second time there is nothing new
						if err := n.Record(context.Background()); err != nil {
							w.t.Error(err)
						}
					}
				})
			}
			all.Wait()
			w.now = w.now.Add(40 * time.Second)
		}
		w.want(w.decisions(nodes[0], 1), "[08:30 60 0 12][08:31 30 0 6]")
		w.want(w.decisions(nodes[1], 2), "[08:30 0 3 0][08:31 0 6 0]")
		hours, _ := LastHours(w.now, 24)
		days, _ := DaysTo(w.now, Days, 7)
		weeks, _ := DaysTo(w.now, Weeks, 52*7)
		for _, g := range []Range{hours, days, weeks} {
			points := w.read(nodes[2], 1, g)
			if v := points[len(points)-1].Values; v.Decided() != 108 || v.Denied() != 18 {
				w.t.Errorf("%s: %v", g.Unit, v)
			}
		}
	})
}

func TestDecisions_OfDeletedAppsAreNotWritten(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.exec("DELETE FROM apps WHERE id = 2")
		r.decide(1, Allowed, 1)
		r.decide(2, Allowed, 1)
		w.record(r)
		w.want(w.decisions(r, 1)+w.decisions(r, 2), "[08:30 1 0 0]")
	})
}

// TestDecisions_OutlastFailures: what could not be written is written later, and figures that cannot be
// counted keep no others from being written.
func TestDecisions_OutlastFailures(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		w.record(r)
		r.decide(1, Allowed, 5)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if r.Record(ended) == nil {
			w.t.Error("recorded without a database")
		}
		r.decide(1, Allowed, 2)
		w.away = true
		if r.Record(context.Background()) == nil {
			w.t.Error("no error while the online users cannot be counted")
		}
		w.want(w.decisions(r, 1), "[08:30 7 0 0]")
	})
}

func TestBans_AreCountedInTheirTime(t *testing.T) {
	each(t, func(w *world) {
		at := models.TimeOf(w.now)
		w.bans = []models.BucketCount{
			{AppID: 1, BeginsAt: at.Add(-40 * 24 * time.Hour), Count: 4}, {AppID: 1, BeginsAt: at.Add(-time.Minute), Count: 2}, {AppID: 2, BeginsAt: at, Count: 1},
		}
		r := w.node()
		w.record(r)
		minutes, _ := LastMinutes(w.now, 60)
		weeks, _ := DaysTo(w.now, Weeks, 70)
		w.want(show(w.read(r, 1, minutes), "15:04", time.UTC, Bans), "[08:29 2]")
		w.want(show(w.read(r, 1, weeks), "Jan 2", time.UTC, Bans), "[Oct 10 4][Nov 14 2]")
		w.want(show(w.read(r, 2, weeks), "Jan 2", time.UTC, Bans), "[Nov 14 1]")
	})
}

// presence sets the presence of users and when it last changed.
func (w *world) presence(p models.Presence, ago time.Duration, ids ...int) {
	w.t.Helper()
	for _, id := range ids {
		w.exec("UPDATE users SET presence = ?, presence_at = ? WHERE id = ?", p, models.TimeOf(w.now.Add(-ago)), id)
	}
}

func TestActive_CountsUsersOnlineInADayAndAMonth(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 8, 90*24*time.Hour)
		w.presence(models.PresenceOnline, 60*24*time.Hour, 1) // still connected
		w.presence(models.PresenceOffline, 23*time.Hour, 2)
		w.presence(models.PresenceUnlogined, time.Minute, 3) // logged out
		w.presence(models.PresenceOffline, 25*time.Hour, 4)
		w.presence(models.PresenceOffline, 29*24*time.Hour, 5)
		w.presence(models.PresenceOffline, 31*24*time.Hour, 6)
		w.presence(models.PresenceUnlogined, time.Minute, 7) // by its deactivation
		w.exec("UPDATE users SET deactivated_at = ? WHERE id = 7", models.TimeOf(w.now))
		active := func(r *node) string {
			g, _ := LastHours(w.now, 24)
			return show(w.read(r, 1, g), "Jan 2 15:04", time.UTC, DailyActive, MonthlyActive)
		}
		r := w.node()
		w.record(r)
		w.want(active(r), "[Nov 20 08:00 3 5]")

		// What changes within the hour counts at its end, for the hour and for the next.
		w.presence(models.PresenceOffline, 0, 8)
		w.record(r)
		w.want(active(r), "[Nov 20 08:00 3 5]")
		w.now = time.Date(2026, 11, 20, 9, 0, 4, 0, time.UTC)
		w.record(w.node())
		w.record(r)
		w.want(active(r), "[Nov 20 08:00 4 6][Nov 20 09:00 4 6]")

		// A node that begins late in an hour does not know the end of the last one.
		w.now = time.Date(2026, 11, 20, 23, 30, 0, 0, time.UTC)
		w.record(w.node())
		w.want(active(r), "[Nov 20 08:00 4 6][Nov 20 09:00 4 6][Nov 20 23:00 3 6]")

		// The number of a day is the one at its end, which may be in the middle of a day of UTC.
		w.now = time.Date(2026, 11, 21, 0, 0, 4, 0, time.UTC)
		w.presence(models.PresenceOffline, time.Minute, 6)
		w.record(r)
		days, _ := DaysTo(w.now, Days, 2)
		w.want(show(w.read(r, 1, days), "Jan 2", time.UTC, DailyActive, MonthlyActive), "[Nov 20 4 7][Nov 21 4 7]")
		zone := time.FixedZone("-2", -2*3600)
		days, _ = DaysTo(w.now.In(zone), Days, 2)
		w.want(show(w.read(r, 1, days), "Jan 2", zone, DailyActive), "[Nov 20 4]")
		weeks, _ := DaysTo(w.now, Weeks, 14)
		w.want(show(w.read(r, 1, weeks), "Jan 2", time.UTC, DailyActive, MonthlyActive), "[Nov 15 4 7]")
	})
}

func TestRanges(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York") // the clocks went back on Nov 1, 2026
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 3, 8, 30, 5, 0, zone)
	two := func(r, before Range) [2]Range { return [2]Range{r, before} }
	for name, c := range map[string]struct {
		got  [2]Range
		want string
	}{
		"minutes": {two(LastMinutes(now, 2)), "Nov 3 08:29 2 Nov 3 08:31 | Nov 3 08:27 2 Nov 3 08:29"},
		"hours":   {two(LastHours(now, 3)), "Nov 3 06:00 3 Nov 3 09:00 | Nov 3 03:00 3 Nov 3 06:00"},
		"days":    {two(DaysTo(now, Days, 2)), "Nov 2 00:00 2 Nov 4 00:00 | Oct 31 00:00 2 Nov 2 00:00"},
		"weeks":   {two(DaysTo(now, Weeks, 8)), "Oct 27 00:00 2 Nov 4 00:00 | Oct 19 00:00 2 Oct 27 00:00"},
		"hours of a long day": {two(HoursOf(time.Date(2026, 11, 1, 12, 0, 0, 0, zone), 1)),
			"Nov 1 00:00 25 Nov 2 00:00 | Oct 30 23:00 25 Nov 1 00:00"},
		"hours of a zone between hours": {two(HoursOf(now.In(time.FixedZone("+5:30", 5*3600+1800)), 1)),
			"Nov 2 13:00 24 Nov 3 13:00 | Nov 1 13:00 24 Nov 2 13:00"},
	} {
		var got string
		for i, g := range c.got {
			if i > 0 {
				got += " | "
			}
			at := func(t models.Time) string { return t.Time().In(zone).Format("Jan 2 15:04") }
			got += fmt.Sprint(at(g.Starts[0]), " ", len(g.Starts), " ", at(g.End))
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestWeeks_OfZonesContainTheDaysOfUTC: no day is lost or counted twice, not even the present one in a
// zone in which it is tomorrow already.
func TestWeeks_OfZonesContainTheDaysOfUTC(t *testing.T) {
	each(t, func(w *world) {
		for ago := range 70 {
			w.register(1, 1, time.Duration(ago)*24*time.Hour)
		}
		r := w.node()
		w.record(r)
		for _, offset := range []int{-12, -8, 0, 8, 13, 14} {
			zone := time.FixedZone("", offset*3600)
			weeks, before := DaysTo(w.now.In(zone), Weeks, 28)
			sum := int64(0)
			for _, p := range w.read(r, 1, weeks) {
				sum += p.Values[Registrations]
			}
			for _, p := range w.read(r, 1, before) {
				if p.Values[Registrations] != 7 {
					w.t.Errorf("%+d: %d in the week of %s", offset, p.Values[Registrations], p.BeginsAt)
				}
			}
			// The present day of UTC counts even if the last day of the zone ends before its noon.
			if sum < 28 || sum > 29 {
				w.t.Errorf("%+d: %d", offset, sum)
			}
		}
	})
}

func TestSince_IsTheFirstFigureOfEachKind(t *testing.T) {
	each(t, func(w *world) {
		r := w.node()
		app := &models.App{ID: 1, CreatedAt: models.TimeOf(w.now.Add(-10 * 24 * time.Hour))}
		since := func() Since {
			s, err := r.Since(t.Context(), app)
			w.check(err)
			return s
		}
		if s := since(); s[Registrations] != app.CreatedAt || s[Bans] != app.CreatedAt || s[PeakOnline] != never || s[DailyActive] != never || s[Allowed] != never {
			w.t.Errorf("at first: %v", s)
		}
		w.online[1] = 1
		w.record(r)
		w.now = w.now.Add(24 * time.Hour)
		r.decide(1, ByReason("NOT_FRIENDS"), 1)
		w.record(r)
		today := begin(models.TimeOf(w.now), day)
		if s := since(); s[PeakOnline] != today-models.Time(day) || s[Allowed] != today || s[DailyActive] != never {
			w.t.Errorf("then: %v", s)
		}
	})
}

// TestReads_AreServedByIndexes: neither the pages nor the counts read rows that they do not return.
func TestReads_AreServedByIndexes(t *testing.T) {
	each(t, func(w *world) {
		w.register(1, 3, 0)
		w.presence(models.PresenceOffline, 0, 1)
		r := w.node()
		w.record(r)
		days, _ := DaysTo(w.now, Days, 30)
		statements := testenv.Statements(w.t, w.db, func() {
			w.read(r, 1, days)
			_, err := r.Since(t.Context(), &models.App{ID: 1})
			w.check(err)
			_, _, err = r.active(context.Background(), 1, models.TimeOf(w.now))
			w.check(err)
		})
		if len(statements) != 3 {
			w.t.Errorf("%d statements", len(statements))
		}
		for _, s := range statements {
			for _, step := range testenv.Explain(w.t, w.db, s) {
				if step.Table == "" || step.Table == "CONSTANT" {
					continue // the row that holds the results
				}
				if step.Index != "PRIMARY" && step.Index != "users_app_active" || step.Scans || step.Sorts {
					w.t.Errorf("%s\n%+v", s.SQL, step)
				}
			}
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		sources := Sources{Decided: func(func(int64, Figure, int64)) {}}
		New(db, sources, time.Now, slog.New(slog.DiscardHandler)).Run(ctx)
		close(done)
	}()
	cancel()
	<-done
}
