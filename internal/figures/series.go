package figures

import (
	"context"
	"fmt"
	"math"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/models"
)

// LongestRange is the maximum number of days of a Range.
const LongestRange = 366

// Unit is how long the points of a range are.
type Unit string

// The units. Days begin as in a time zone. A week is seven such days.
const (
	Minutes Unit = "minutes"
	Hours   Unit = "hours"
	Days    Unit = "days"
	Weeks   Unit = "weeks"
)

// Range is a range of time in points. Each lasts until the next begins, and the last one until End.
type Range struct {
	Unit   Unit
	Starts []models.Time
	End    models.Time
}

// LastMinutes returns the range of the last n minutes with the present one, and the one before it.
func LastMinutes(now time.Time, n int) (r, before Range) { return last(Minutes, minute, now, n) }

// LastHours returns the range of the last n hours with the present one, and the one before it.
func LastHours(now time.Time, n int) (r, before Range) { return last(Hours, hour, now, n) }

func last(unit Unit, span int64, now time.Time, n int) (r, before Range) {
	end := begin(models.TimeOf(now), span) + models.Time(span)
	return rangesTo(unit, end, n, 1, func(i int) models.Time { return end - models.Time(span)*models.Time(i) })
}

// DaysTo returns the range of the n days up to the day of t, in the zone of t, and the one before it.
// The unit is Days or Weeks; n is at most LongestRange. If it is no multiple of 7, the last week is
// shorter.
func DaysTo(t time.Time, unit Unit, n int) (r, before Range) {
	step := 1
	if unit == Weeks {
		step = 7
	}
	year, month, day := t.Date()
	ago := func(days int) models.Time {
		return models.TimeOf(time.Date(year, month, day+1-days, 0, 0, 0, 0, t.Location()))
	}
	return rangesTo(unit, ago(0), n, step, ago)
}

// HoursOf returns the range of the hours of the n days up to the day of t, in the zone of t, and the
// one before it.
func HoursOf(t time.Time, n int) (r, before Range) {
	days, _ := DaysTo(t, Days, n)
	end := begin(days.End, hour)
	hours := int((end - begin(days.Starts[0], hour)) / models.Time(hour)) // a day may have 23 or 25
	return rangesTo(Hours, end, hours, 1, func(i int) models.Time { return end - models.Time(hour)*models.Time(i) })
}

// rangesTo returns the range of the last n minutes, hours or days before end, and the n before it, each
// with a point for every step of them. ago returns when the last i of them begin.
func rangesTo(unit Unit, end models.Time, n, step int, ago func(i int) models.Time) (r, before Range) {
	r, before = Range{Unit: unit, End: end}, Range{Unit: unit, End: ago(n)}
	for i := n; i > 0; i -= step {
		r.Starts = append(r.Starts, ago(i))
		before.Starts = append(before.Starts, ago(n+i))
	}
	return r, before
}

// Point is one point of a range.
type Point struct {
	BeginsAt models.Time
	Values
}

// queries are the statements that read figures.
type queries struct{ points, since *database.Query }

func newQueries(db *database.DB) queries {
	first := func(column string) string {
		return "COALESCE((SELECT begins_at FROM app_figures WHERE app_id = ? AND span = ? AND " + column + " > 0 ORDER BY begins_at LIMIT 1), ?)"
	}
	decided := ""
	for f := firstDecision; int(f) < count; f++ {
		if decided != "" {
			decided += " + "
		}
		decided += kinds[f].column
	}
	return queries{
		points: db.NewBoundedQuery("SELECT begins_at, " + columns +
			" FROM app_figures WHERE app_id = ? AND span = ? AND begins_at >= ? AND begins_at < ? ORDER BY begins_at"),
		since: db.NewBoundedQuery("SELECT " + first("peak_online") + ", " + first("monthly_active") + ", " + first("("+decided+")")),
	}
}

// never is later than all times.
const never = models.Time(math.MaxInt64)

// Since has the time since which there are data of each figure, to the day. It is in the far future if
// there are none yet.
type Since [count]models.Time

// Since returns since when there are data of the app.
func (r *Recorder) Since(ctx context.Context, app *models.App) (since Since, err error) {
	var args []any
	for range 3 {
		args = append(args, app.ID, day, never)
	}
	var online, active, decided models.Time
	if err := r.queries.since.Each(ctx, args, []any{&online, &active, &decided}, func() {}); err != nil {
		return since, fmt.Errorf("looking for the first figures: %w", err)
	}
	for f := range since {
		since[f] = decided
	}
	// What is counted by rows is counted since the app was created, even if nothing happened.
	since[Registrations] = max(app.CreatedAt, r.now().Add(-kept))
	since[Bans] = since[Registrations]
	since[PeakOnline], since[DailyActive], since[MonthlyActive] = online, active, active
	return since, nil
}

// Read returns the points of a range, oldest first.
//
// The points of minutes and hours are read from such buckets, days from hours, and weeks from days of
// UTC. A bucket belongs to the point in which it begins, so if a day of the zone begins within an hour
// of UTC, that hour belongs to the day before. A day of UTC belongs to the point that contains its
// noon.
func (r *Recorder) Read(ctx context.Context, appID int64, g Range) ([]Point, error) {
	points := make([]Point, len(g.Starts))
	for i := range points {
		points[i].BeginsAt = g.Starts[i]
	}
	span, shift := hour, models.Time(0)
	switch g.Unit {
	case Minutes:
		span = minute
	case Weeks:
		span, shift = day, models.Time(day/2)
	}
	present := g.End > r.now()
	until := g.End - shift
	if present {
		until = never
	}
	var row Point
	targets := []any{&row.BeginsAt}
	for f := range row.Values {
		targets = append(targets, &row.Values[f])
	}
	at := 0
	err := r.queries.points.Each(ctx, []any{appID, span, g.Starts[0] - shift, until}, targets, func() {
		for at+1 < len(points) && points[at+1].BeginsAt <= row.BeginsAt+shift {
			at++
		}
		points[at].merge(&row.Values, g.Unit)
	})
	if err != nil {
		return nil, fmt.Errorf("reading figures: %w", err)
	}
	if present {
		r.addPresent(ctx, appID, &points[len(points)-1])
	}
	return points, nil
}

// merge adds the values of a later bucket to a point. What is counted for the past 24 hours or 30 days
// is the last value of a day, and the maximum of the days of a week.
func (p *Point) merge(v *Values, unit Unit) {
	for f := range kinds {
		switch {
		case kinds[f].merge == latest && unit != Weeks:
			if v[f] > 0 {
				p.Values[f] = v[f]
			}
		case kinds[f].peak:
			p.Values[f] = max(p.Values[f], v[f])
		default:
			p.Values[f] += v[f]
		}
	}
}

// onlineTime is how long a series waits for the number of users that are online now.
const onlineTime = 500 * time.Millisecond

// addPresent adds the users that are online now to the last point, whose bucket may have begun after the
// last count. If their number is unknown, only the written figures count.
func (r *Recorder) addPresent(ctx context.Context, appID int64, last *Point) {
	ask := func(ctx context.Context) (int, error) { return r.sources.Online(ctx, appID) }
	if online, err := outage.Within(ctx, onlineTime, ask); err == nil {
		last.Values[PeakOnline] = max(last.Values[PeakOnline], int64(online))
	}
}
