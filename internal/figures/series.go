package figures

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/outage"
	"rollcall/models"
)

// LongestSeries is the maximum number of days that LastDays returns.
const LongestSeries = 30

// Point is one bucket of a series.
type Point struct {
	BeginsAt models.Time
	// Registrations is the number of users registered in it, and PeakOnline the maximum number seen
	// online at once.
	Registrations, PeakOnline int
}

// LastHour returns the app's last 60 minutes, including the current one, oldest first.
func (r *Recorder) LastHour(ctx context.Context, appID int64) ([]Point, error) {
	points := make([]Point, 60)
	now := begin(models.TimeOf(r.clock()), minute)
	for i := range points {
		points[i].BeginsAt = now - models.Time(minute)*models.Time(len(points)-1-i)
	}
	return points, r.fill(ctx, appID, minute, points)
}

// LastDays returns the app's last n days, as they begin in zone, including today, oldest first. n
// is at most LongestSeries. If a day of the zone begins within an hour of UTC, that hour belongs to
// the day before.
func (r *Recorder) LastDays(ctx context.Context, appID int64, n int, zone *time.Location) ([]Point, error) {
	points := make([]Point, n)
	year, month, day := r.clock().In(zone).Date()
	for i := range points {
		points[i].BeginsAt = models.TimeOf(time.Date(year, month, day-(n-1-i), 0, 0, 0, 0, zone))
	}
	return points, r.fill(ctx, appID, hour, points)
}

// onlineTime is how long a series waits for the number of users that are online now.
const onlineTime = 500 * time.Millisecond

// fill sums the app's buckets of span up into points, each of which lasts until the next. The users
// online now count in the last point, whose bucket may have begun after the last count. If their
// number is unknown, only the written figures count.
func (r *Recorder) fill(ctx context.Context, appID, span int64, points []Point) error {
	var rows []models.AppFigures
	err := r.db.Read(ctx).Where("app_id = ? AND span = ? AND begins_at >= ?", appID, span, points[0].BeginsAt).
		Order("begins_at").Find(&rows).Error
	if err != nil {
		return fmt.Errorf("reading figures: %w", err)
	}
	at := 0
	for _, row := range rows {
		for at+1 < len(points) && points[at+1].BeginsAt <= row.BeginsAt {
			at++
		}
		points[at].Registrations += row.Registrations
		points[at].PeakOnline = max(points[at].PeakOnline, row.PeakOnline)
	}
	ask := func(ctx context.Context) (int, error) { return r.online(ctx, appID) }
	if online, err := outage.Within(ctx, onlineTime, ask); err == nil {
		last := &points[len(points)-1]
		last.PeakOnline = max(last.PeakOnline, online)
	}
	return nil
}
