package figures

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// Record counts all apps once, and writes the figures that have grown. Figures that cannot be counted
// do not prevent the others from being written. It must not run at the same time as Run.
func (r *Recorder) Record(ctx context.Context) error {
	apps, err := r.apps(ctx)
	if err != nil || len(apps) == 0 {
		return err
	}
	now := r.now()
	from := begin(now.Add(-lateness), minute)
	if !r.caughtUp {
		if err := r.catchUp(ctx, apps, now); err != nil {
			return err
		}
		from = begin(now, hour) - models.Time(hour)
	}
	minutes, err := r.counted(ctx, apps, minute, from)
	if err != nil {
		return err
	}
	unknown := r.addOnline(ctx, apps, now, minutes)
	grown := r.undecided(apps, now)
	for k, v := range minutes {
		v[PeakOnline] = max(v[PeakOnline], r.written[k][PeakOnline])
		minutes[k] = v
		if v != r.written[k] {
			sum := grown[k]
			copy(sum[:firstDecision], v[:firstDecision])
			grown[k] = sum
		}
	}
	if err := r.write(ctx, grown); err != nil {
		return err
	}
	maps.Copy(r.written, minutes)
	maps.DeleteFunc(r.written, func(k key, _ Values) bool { return k.beginsAt < from })
	r.caughtUp = true
	return errors.Join(unknown, r.countActive(ctx, apps, now), r.sweep(ctx, now))
}

// apps returns the apps.id of all apps that are not being deleted, in order.
func (r *Recorder) apps(ctx context.Context) (list []int64, err error) {
	err = r.db.Read(ctx).Model(&models.App{}).Where("deleting_at = 0").Order("id").Pluck("id", &list).Error
	return list, fault.Wrap(err, "listing apps")
}

// counted counts the registrations and bans since from, in buckets of span.
func (r *Recorder) counted(ctx context.Context, apps []int64, span int64, from models.Time) (map[key]Values, error) {
	registered, err := r.registered(ctx, apps, span, from)
	if err != nil {
		return nil, err
	}
	bans, err := r.sources.Bans(ctx, time.Duration(span)*time.Millisecond, from)
	if err != nil {
		return nil, err
	}
	buckets := map[key]Values{}
	add := func(f Figure, rows []models.BucketCount) {
		for _, row := range rows {
			k := key{row.AppID, row.BeginsAt}
			v := buckets[k]
			v[f] = row.Count
			buckets[k] = v
		}
	}
	add(Registrations, registered)
	add(Bans, bans)
	return buckets, nil
}

// registered counts the apps' registrations since from in buckets of span.
func (r *Recorder) registered(ctx context.Context, apps []int64, span int64, from models.Time) (rows []models.BucketCount, err error) {
	bucket := fmt.Sprintf("created_at - created_at %% %d", span)
	err = r.db.Read(ctx).Table(r.db.Using("users", "users_app_created")).
		Select("app_id, "+bucket+" AS begins_at, COUNT(*) AS count").
		Where("app_id IN ? AND created_at >= ?", apps, from).
		Group("app_id, " + bucket).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("counting registrations: %w", err)
	}
	return rows, nil
}

// addOnline adds the users that are online now.
func (r *Recorder) addOnline(ctx context.Context, apps []int64, now models.Time, minutes map[key]Values) error {
	for _, app := range apps {
		online, err := r.sources.Online(ctx, app)
		if err != nil {
			return fmt.Errorf("counting online users: %w", err)
		}
		if online > 0 {
			k := key{app, begin(now, minute)}
			v := minutes[k]
			v[PeakOnline] = int64(online)
			minutes[k] = v
		}
	}
	return nil
}

// undecided returns the decisions of this process in these apps that are not in the buckets yet, as
// those of the minute of now. An app in which some were made may have been deleted since.
func (r *Recorder) undecided(apps []int64, now models.Time) map[key]Values {
	buckets := map[key]Values{}
	r.sources.Decided(func(app int64, f Figure, total int64) {
		_, known := slices.BinarySearch(apps, app)
		if more := total - r.decided[app][f]; known && more > 0 {
			k := key{app, begin(now, minute)}
			v := buckets[k]
			v[f] = more
			buckets[k] = v
		}
	})
	return buckets
}

// catchUp counts what happened since figures were last written by any node: while no node was
// running, or before there were figures.
func (r *Recorder) catchUp(ctx context.Context, apps []int64, now models.Time) error {
	var last *models.Time
	err := r.db.Read(ctx).Raw("SELECT MAX(begins_at) FROM app_figures WHERE span = ?", day).Scan(&last).Error
	if err != nil {
		return fmt.Errorf("looking for the last figures: %w", err)
	}
	from := begin(now.Add(-kept), day)
	if last != nil {
		from = max(from, *last)
	}
	hours, err := r.counted(ctx, apps, hour, from)
	if err != nil {
		return err
	}
	days := map[key]Values{}
	for k, v := range hours {
		in := key{k.app, begin(k.beginsAt, day)}
		sum := days[in]
		sum[Registrations] += v[Registrations]
		sum[Bans] += v[Bans]
		days[in] = sum
	}
	// The days come last, so that a process that ends in between begins again.
	for _, buckets := range []struct {
		span int64
		all  map[key]Values
	}{{hour, hours}, {day, days}} {
		for batch := range slices.Chunk(slices.SortedFunc(maps.Keys(buckets.all), compareKeys), keepBatch) {
			if err := r.db.Tx(ctx, func(tx *gorm.DB) error { return r.keep(tx, buckets.span, batch, buckets.all) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.beginsAt, b.beginsAt))
}

// write writes minutes, and the hours and days that contain them.
func (r *Recorder) write(ctx context.Context, minutes map[key]Values) error {
	if len(minutes) == 0 {
		return nil
	}
	err := r.db.Tx(ctx, func(tx *gorm.DB) error {
		finer, span := minutes, minute
		for _, coarser := range []int64{hour, day} {
			if err := r.keepAll(tx, span, finer); err != nil {
				return err
			}
			buckets, err := r.sumUp(tx, span, coarser, finer)
			if err != nil {
				return err
			}
			finer, span = buckets, coarser
		}
		return r.keepAll(tx, span, finer)
	})
	if err != nil {
		return err
	}
	for k, v := range minutes {
		sum := r.decided[k.app]
		for f := firstDecision; int(f) < count; f++ {
			sum[f] += v[f]
		}
		r.decided[k.app] = sum
	}
	return nil
}

// sumUp returns the coarser buckets that contain these finer ones, which are written. Decisions, which
// are added to the coarser buckets too, are only those of the finer ones.
func (r *Recorder) sumUp(tx *gorm.DB, span, coarser int64, finer map[key]Values) (map[key]Values, error) {
	keys := slices.SortedFunc(maps.Keys(finer), compareKeys)
	first := keys[0].beginsAt
	var apps []int64
	buckets := map[key]Values{}
	for _, k := range keys {
		apps, first = append(apps, k.app), min(first, k.beginsAt)
		into := key{k.app, begin(k.beginsAt, coarser)}
		v, more := buckets[into], finer[k]
		for f := firstDecision; int(f) < count; f++ {
			v[f] += more[f]
		}
		buckets[into] = v
	}
	var rows []struct {
		AppID                           int64
		BeginsAt                        models.Time
		Registrations, Bans, PeakOnline int64
	}
	err := tx.Raw(fmt.Sprintf(`SELECT app_id, begins_at - begins_at %% %d AS begins_at,
		SUM(registrations) AS registrations, SUM(bans) AS bans, MAX(peak_online) AS peak_online
		FROM app_figures WHERE app_id IN ? AND span = ? AND begins_at >= ? GROUP BY app_id, begins_at - begins_at %% %d`, coarser, coarser),
		slices.Compact(apps), span, begin(first, coarser)).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("summing up figures: %w", err)
	}
	for _, row := range rows {
		k := key{row.AppID, row.BeginsAt}
		v := buckets[k]
		v[Registrations], v[Bans], v[PeakOnline] = row.Registrations, row.Bans, row.PeakOnline
		buckets[k] = v
	}
	return buckets, nil
}

// keepBatch limits the number of parameters of a statement.
const keepBatch = 1000

// keepAll writes buckets in the order of their keys, so that nodes do not deadlock.
func (r *Recorder) keepAll(tx *gorm.DB, span int64, buckets map[key]Values) error {
	for batch := range slices.Chunk(slices.SortedFunc(maps.Keys(buckets), compareKeys), keepBatch) {
		if err := r.keep(tx, span, batch, buckets); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the buckets with these keys. Those that exist are merged as kinds says.
func (r *Recorder) keep(tx *gorm.DB, span int64, keys []key, buckets map[key]Values) error {
	sql := strings.Builder{}
	sql.WriteString("INSERT INTO app_figures (app_id, span, begins_at, " + columns + ") VALUES ")
	args := make([]any, 0, len(keys)*(3+count))
	for i, k := range keys {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteString("(?, ?, ?" + strings.Repeat(", ?", count) + ")")
		args = append(args, k.app, span, k.beginsAt)
		for _, n := range buckets[k] {
			args = append(args, n)
		}
	}
	sql.WriteString(merging(r.db.Dialect()))
	if err := tx.Exec(sql.String(), args...).Error; err != nil {
		return fmt.Errorf("writing figures: %w", err)
	}
	return nil
}

// columns are the columns of the figures.
var columns = func() string {
	var names []string
	for _, kind := range kinds {
		names = append(names, kind.column)
	}
	return strings.Join(names, ", ")
}()

// merging returns what makes an INSERT merge its values with those of an existing bucket.
func merging(dialect database.Dialect) string {
	start, given, higher := " ON CONFLICT (app_id, span, begins_at) DO UPDATE SET ", "excluded.%s", "MAX"
	if dialect == database.MySQL {
		start, given, higher = " ON DUPLICATE KEY UPDATE ", "VALUES(%s)", "GREATEST"
	}
	var sets []string
	for _, kind := range kinds {
		next := fmt.Sprintf(given, kind.column)
		switch kind.merge {
		case highest:
			next = fmt.Sprintf("%s(%s, %s)", higher, kind.column, next)
		case latest:
			next = fmt.Sprintf("CASE WHEN %s > 0 THEN %[1]s ELSE %s END", next, kind.column)
		case added:
			next = kind.column + " + " + next
		}
		sets = append(sets, kind.column+" = "+next)
	}
	return start + strings.Join(sets, ", ")
}

// sweepSlice is how many buckets of each app one statement removes at most.
const sweepSlice = 10

// sweep removes old buckets from time to time.
func (r *Recorder) sweep(ctx context.Context, now models.Time) error {
	if now < r.swept.Add(sweepInterval) {
		return nil
	}
	for _, old := range []struct {
		span int64
		kept time.Duration
	}{{minute, minutesKept}, {hour, kept}, {day, kept}} {
		for end := now.Add(-old.kept); ; {
			var oldest *models.Time
			err := r.db.Read(ctx).Raw("SELECT MIN(begins_at) FROM app_figures WHERE span = ?", old.span).Scan(&oldest).Error
			if err != nil {
				return fmt.Errorf("looking for old figures: %w", err)
			}
			if oldest == nil || *oldest >= end {
				break
			}
			err = r.db.Exec(ctx, "DELETE FROM app_figures WHERE span = ? AND begins_at < ?",
				old.span, min(end, *oldest+models.Time(sweepSlice*old.span)))
			if err != nil {
				return fmt.Errorf("removing old figures: %w", err)
			}
		}
	}
	r.swept = now
	return nil
}
