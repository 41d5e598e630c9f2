package figures

import (
	"context"
	"fmt"
	"time"

	"rollcall/models"
)

// LongestSeries is how many days LastDays can answer.
const LongestSeries = 30

// Point is one bucket of a series.
type Point struct {
	BeginsAt models.Time
	// Registrations are the users who were registered in it, and PeakOnline the
	// most who were seen online at once.
	Registrations, PeakOnline int
}

// LastHour answers the app's last 60 minutes, the one that runs included, oldest
// first.
func (r *Recorder) LastHour(ctx context.Context, appID int64) ([]Point, error) {
	points := make([]Point, 60)
	now := begin(models.TimeOf(r.clock()), minute)
	for i := range points {
		points[i].BeginsAt = now - models.Time(minute)*models.Time(len(points)-1-i)
	}
	return points, r.fill(ctx, appID, minute, points)
}

// LastDays answers the app's last n days as they begin in zone, today included,
// oldest first; n is LongestSeries at most. Where a zone's day begins within one
// of UTC's hours, that hour belongs to the day before.
func (r *Recorder) LastDays(ctx context.Context, appID int64, n int, zone *time.Location) ([]Point, error) {
	points := make([]Point, n)
	year, month, day := r.clock().In(zone).Date()
	for i := range points {
		points[i].BeginsAt = models.TimeOf(time.Date(year, month, day-(n-1-i), 0, 0, 0, 0, zone))
	}
	return points, r.fill(ctx, appID, hour, points)
}

// fill sums the app's buckets of span up into points, each of which lasts until
// the next. Who is online now counts in the last one, whose bucket may have begun
// since it was last looked; where that cannot be told, what is written stands.
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
	if online, err := r.online(ctx, appID); err == nil {
		last := &points[len(points)-1]
		last.PeakOnline = max(last.PeakOnline, online)
	}
	return nil
}
