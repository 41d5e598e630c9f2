package users

import (
	"context"
	"fmt"

	"rollcall/models"
)

// clearBatch is the number of users that one transaction of Clear deletes.
const clearBatch = 25

// Clear deletes all users that a DEVELOPMENT app has now, including deactivated ones, as Delete
// does. It works in batches. After each it calls progress with the number of users found and
// deleted so far. If it returns an error, which may be progress's own, the users deleted so far
// stay deleted. Returns FORBIDDEN for a PRODUCTION app.
func (s *Service) Clear(ctx context.Context, app *models.App, by models.Actor, progress func(found, deleted int) error) error {
	// Users that register after this point stay, so the loop ends. On TiDB a later user may have a smaller
	// key, and with the clock of another node an earlier time.
	var last struct {
		ID        int64
		CreatedAt models.Time
	}
	if err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).
		Select("COALESCE(MAX(id), 0) AS id, COALESCE(MAX(created_at), 0) AS created_at").Scan(&last).Error; err != nil {
		return fmt.Errorf("clearing app: %w", err)
	}
	for {
		var ids []string
		err := s.db.Read(ctx).Model(&models.User{}).
			Where("app_id = ? AND id <= ? AND created_at <= ?", app.ID, last.ID, last.CreatedAt).
			Order("created_at, id").Limit(clearBatch).Pluck("external_id", &ids).Error
		if err != nil {
			return fmt.Errorf("clearing app: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		results, err := s.Delete(ctx, app, ids, by)
		if err != nil {
			return err
		}
		deleted := 0
		for _, r := range results {
			if r.Outcome == models.OutcomeDone {
				deleted++
			}
		}
		if err := progress(len(ids), deleted); err != nil {
			return err
		}
	}
}
