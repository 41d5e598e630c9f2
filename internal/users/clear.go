package users

import (
	"context"
	"fmt"

	"rollcall/models"
)

// clearBatch is how many users one transaction of Clear deletes.
const clearBatch = 200

// Clear deletes all users that a DEVELOPMENT app has now, deactivated ones too, as
// Delete does, and answers how many. It works in batches: after an error, or when
// ctx ends, those deleted so far are gone. Errors: FORBIDDEN in a PRODUCTION app.
func (s *Service) Clear(ctx context.Context, app *models.App, by models.Actor) (deleted int, err error) {
	var last int64
	if err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).
		Select("COALESCE(MAX(id), 0)").Scan(&last).Error; err != nil {
		return 0, fmt.Errorf("clearing app: %w", err)
	}
	for {
		var ids []string
		// Who registers meanwhile stays, so this ends.
		err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ? AND id <= ?", app.ID, last).
			Order("created_at, id").Limit(clearBatch).Pluck("external_id", &ids).Error
		if err != nil {
			return deleted, fmt.Errorf("clearing app: %w", err)
		}
		if len(ids) == 0 {
			return deleted, nil
		}
		results, err := s.Delete(ctx, app, ids, by)
		if err != nil {
			return deleted, err
		}
		for _, r := range results {
			if r.Outcome == models.OutcomeDone {
				deleted++
			}
		}
	}
}
