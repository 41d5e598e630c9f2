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
	var last int64
	if err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).
		Select("COALESCE(MAX(id), 0)").Scan(&last).Error; err != nil {
		return fmt.Errorf("clearing app: %w", err)
	}
	for {
		var ids []string
		// Users that register after this point stay, so the loop ends.
		err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ? AND id <= ?", app.ID, last).
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
