package figures

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/models"
)

// record counts all apps once, and writes the figures that have grown.
func (r *Recorder) record(ctx context.Context) error {
	var apps []int64
	if err := r.db.Read(ctx).Model(&models.App{}).Order("id").Pluck("id", &apps).Error; err != nil {
		return fmt.Errorf("listing apps: %w", err)
	}
	if len(apps) == 0 {
		return nil
	}
	now := models.TimeOf(r.clock())
	from := begin(now.Add(-lateness), minute)
	if !r.caughtUp {
		if err := r.catchUp(ctx, apps, now); err != nil {
			return err
		}
		from = begin(now, hour) - models.Time(hour)
	}
	minutes, err := r.look(ctx, apps, from, now)
	if err != nil {
		return err
	}
	if err := r.write(ctx, r.grown(minutes)); err != nil {
		return err
	}
	for k, f := range minutes {
		r.written[k] = f
	}
	maps.DeleteFunc(r.written, func(k key, _ models.AppFigures) bool { return k.beginsAt < from })
	r.caughtUp = true
	return r.sweep(ctx, now)
}

// look returns the apps' minutes since from in which a user was registered or online.
func (r *Recorder) look(ctx context.Context, apps []int64, from, now models.Time) (map[key]models.AppFigures, error) {
	registered, err := r.registered(ctx, apps, minute, from)
	if err != nil {
		return nil, err
	}
	minutes := map[key]models.AppFigures{}
	for _, f := range registered {
		k := key{f.AppID, f.BeginsAt}
		f.PeakOnline = r.written[k].PeakOnline
		minutes[k] = f
	}
	for _, app := range apps {
		online, err := r.online(ctx, app)
		if err != nil {
			return nil, err
		}
		if online == 0 {
			continue
		}
		k := key{app, begin(now, minute)}
		f, ok := minutes[k]
		if !ok {
			f = models.AppFigures{AppID: app, Span: minute, BeginsAt: k.beginsAt}
		}
		f.PeakOnline = max(online, r.written[k].PeakOnline)
		minutes[k] = f
	}
	return minutes, nil
}

// grown returns those minutes that differ from what was last written.
func (r *Recorder) grown(minutes map[key]models.AppFigures) []models.AppFigures {
	var list []models.AppFigures
	for k, f := range minutes {
		if was := r.written[k]; f.Registrations > was.Registrations || f.PeakOnline > was.PeakOnline {
			list = append(list, f)
		}
	}
	return list
}

// registered counts the apps' registrations since from in buckets of span.
func (r *Recorder) registered(ctx context.Context, apps []int64, span int64, from models.Time) ([]models.AppFigures, error) {
	var rows []models.AppFigures
	err := r.db.Read(ctx).Table(r.db.Using("users", "users_app_created")).
		Select("app_id, ? AS span, created_at - created_at % ? AS begins_at, COUNT(*) AS registrations", span, span).
		Where("app_id IN ? AND created_at >= ?", apps, from).
		Group("app_id, created_at - created_at % " + fmt.Sprint(span)).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("counting registrations: %w", err)
	}
	return rows, nil
}

// catchUp counts the users registered since figures were last written by any node: while no node
// was running, or before there were figures.
func (r *Recorder) catchUp(ctx context.Context, apps []int64, now models.Time) error {
	var last *models.Time
	err := r.db.Read(ctx).Model(&models.AppFigures{}).Where("span = ?", hour).Select("MAX(begins_at)").Scan(&last).Error
	if err != nil {
		return fmt.Errorf("looking for the last figures: %w", err)
	}
	from := begin(now.Add(-hoursKept), hour)
	if last != nil {
		from = max(from, *last)
	}
	hours, err := r.registered(ctx, apps, hour, from)
	if err != nil {
		return err
	}
	return r.db.Tx(ctx, func(tx *gorm.DB) error { return r.keep(tx, hours) })
}

// write writes minutes, and sums up the hours that contain them.
func (r *Recorder) write(ctx context.Context, minutes []models.AppFigures) error {
	if len(minutes) == 0 {
		return nil
	}
	apps := make([]int64, len(minutes))
	first := minutes[0].BeginsAt
	for i, f := range minutes {
		apps[i], first = f.AppID, min(first, f.BeginsAt)
	}
	slices.Sort(apps)
	return r.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := r.keep(tx, minutes); err != nil {
			return err
		}
		var hours []models.AppFigures
		err := tx.Model(&models.AppFigures{}).
			Select("app_id, ? AS span, begins_at - begins_at % ? AS begins_at, SUM(registrations) AS registrations, MAX(peak_online) AS peak_online", hour, hour).
			Where("app_id IN ? AND span = ? AND begins_at >= ?", slices.Compact(apps), minute, begin(first, hour)).
			Group("app_id, begins_at - begins_at % " + fmt.Sprint(hour)).Find(&hours).Error
		if err != nil {
			return fmt.Errorf("summing up figures: %w", err)
		}
		return r.keep(tx, hours)
	})
}

// keepBatch limits the number of parameters of a statement.
const keepBatch = 1000

// keep writes buckets. If a bucket exists already, the higher figures are kept. It writes in the
// order of the keys, so that nodes do not deadlock.
func (r *Recorder) keep(tx *gorm.DB, rows []models.AppFigures) error {
	slices.SortFunc(rows, func(a, b models.AppFigures) int {
		return cmp.Or(cmp.Compare(a.AppID, b.AppID), cmp.Compare(a.BeginsAt, b.BeginsAt))
	})
	for batch := range slices.Chunk(rows, keepBatch) {
		sql, values := "INSERT INTO app_figures (app_id, span, begins_at, registrations, peak_online) VALUES ", []any{}
		for i, f := range batch {
			if i > 0 {
				sql += ", "
			}
			sql += "(?, ?, ?, ?, ?)"
			values = append(values, f.AppID, f.Span, f.BeginsAt, f.Registrations, f.PeakOnline)
		}
		if err := tx.Exec(sql+highest[r.db.Dialect()], values...).Error; err != nil {
			return fmt.Errorf("writing figures: %w", err)
		}
	}
	return nil
}

// highest makes an INSERT keep the higher of the existing figures and its own.
var highest = map[database.Dialect]string{
	database.SQLite: ` ON CONFLICT (app_id, span, begins_at) DO UPDATE SET
		registrations = MAX(registrations, excluded.registrations), peak_online = MAX(peak_online, excluded.peak_online)`,
	database.MySQL: ` ON DUPLICATE KEY UPDATE
		registrations = GREATEST(registrations, VALUES(registrations)), peak_online = GREATEST(peak_online, VALUES(peak_online))`,
}

// sweep removes old buckets from time to time.
func (r *Recorder) sweep(ctx context.Context, now models.Time) error {
	if now < r.swept.Add(sweepInterval) {
		return nil
	}
	err := r.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Where("span = ? AND begins_at < ? OR span = ? AND begins_at < ?",
			minute, now.Add(-minutesKept), hour, now.Add(-hoursKept)).Delete(&models.AppFigures{}).Error
	})
	if err != nil {
		return fmt.Errorf("removing old figures: %w", err)
	}
	r.swept = now
	return nil
}
