package figures

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/models"
)

// countActive counts the active users of all apps, once in each hour.
func (r *Recorder) countActive(ctx context.Context, apps []int64, now models.Time) error {
	at := begin(now, hour)
	if r.activeAt == at {
		return nil
	}
	var counted []int64 // by another node
	err := r.db.Read(ctx).Raw("SELECT app_id FROM app_figures WHERE app_id IN ? AND span = ? AND begins_at = ? AND daily_active > 0",
		apps, hour, at).Scan(&counted).Error
	if err != nil {
		return fmt.Errorf("looking for active users: %w", err)
	}
	known := map[int64]bool{}
	for _, app := range counted {
		known[app] = true
	}
	hours := []models.Time{at}
	if now < at.Add(lateness) {
		hours = append(hours, at-models.Time(hour)) // this is also the number at its end
	}
	for _, app := range apps {
		if known[app] {
			continue
		}
		var v Values
		if v[DailyActive], v[MonthlyActive], err = r.active(ctx, app, now); err != nil {
			return err
		}
		if v[MonthlyActive] == 0 {
			continue
		}
		inHours, inDays := map[key]Values{}, map[key]Values{}
		for _, at := range hours {
			inHours[key{app, at}], inDays[key{app, begin(at, day)}] = v, v
		}
		err := r.db.Tx(ctx, func(tx *gorm.DB) error {
			if err := r.keepAll(tx, hour, inHours); err != nil {
				return err
			}
			return r.keepAll(tx, day, inDays)
		})
		if err != nil {
			return err
		}
	}
	r.activeAt = at
	return nil
}

// active returns how many users of an app were online in the 24 hours and the 30 days before now: those
// that are online, and those whose last change of presence is not longer ago, because it ended the time
// in which they were online. A deactivation is a change of presence too, so deactivated users are left
// out.
func (r *Recorder) active(ctx context.Context, app int64, now models.Time) (daily, monthly int64, err error) {
	var parts []string
	var args []any
	for _, since := range []time.Duration{24 * time.Hour, 30 * 24 * time.Hour} {
		var sum []string
		for _, p := range []models.Presence{models.PresenceOnline, models.PresenceOffline, models.PresenceUnlogined} {
			part := "SELECT COUNT(*) FROM " + r.db.Using("users", "users_app_active") + " WHERE app_id = ? AND presence = ?"
			args = append(args, app, p)
			if p != models.PresenceOnline {
				part += " AND presence_at >= ? AND deactivated_at IS NULL"
				args = append(args, now.Add(-since))
			}
			sum = append(sum, "("+part+")")
		}
		parts = append(parts, strings.Join(sum, " + "))
	}
	var row struct{ Daily, Monthly int64 }
	err = r.db.Read(ctx).Raw("SELECT "+parts[0]+" AS daily, "+parts[1]+" AS monthly", args...).Scan(&row).Error
	if err != nil {
		return 0, 0, fmt.Errorf("counting active users: %w", err)
	}
	return row.Daily, row.Monthly, nil
}
