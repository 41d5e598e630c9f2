package users

import (
	"context"
	"fmt"
	"slices"

	"rollcall/models"
)

// clearBatch is the number of users that one transaction of Clear deletes.
const clearBatch = 25

// Clear deletes all users that a DEVELOPMENT app has now, including deactivated ones, as Delete
// does. It works in batches. After each it calls progress with the number of users found and
// deleted so far. If it returns an error, which may be progress's own, the users deleted so far
// stay deleted. Returns FORBIDDEN for a PRODUCTION app.
func (s *Service) Clear(ctx context.Context, app *models.App, by models.Actor, progress func(found, deleted int) error) error {
	// The keys are read once, so that users that register after this point stay, even those that take the
	// ID of one that has been deleted. Neither keys nor times are in the order of registration.
	var keys []int64
	err := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID).Order("created_at, id").Pluck("id", &keys).Error
	if err != nil {
		return fmt.Errorf("clearing app: %w", err)
	}
	for batch := range slices.Chunk(keys, clearBatch) {
		var ids []string
		err := s.db.Read(ctx).Model(&models.User{}).Where("id IN ?", batch).Pluck("external_id", &ids).Error
		if err != nil {
			return fmt.Errorf("clearing app: %w", err)
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
	return nil
}
