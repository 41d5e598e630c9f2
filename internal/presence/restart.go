package presence

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/models"
)

// restartChunk is how many rows one transaction changes at a start, so that no
// start holds many locks for long.
const restartChunk = 1000

// endEarlierRun turns the users to OFFLINE whom an earlier process could not: it was
// killed while they were connected. App by app, because that is how the index
// users_app_presence begins.
func (h *Hub) endEarlierRun(ctx context.Context) error {
	apps, err := gorm.G[models.App](h.db.Read(ctx)).Select("id").Find(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		for n := restartChunk; n == restartChunk; {
			if n, err = h.endEarlierRunIn(ctx, app.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// endEarlierRunIn turns some users of one app to OFFLINE and answers how many. One
// who was deactivated at the last moment is UNLOGINED.
func (h *Hub) endEarlierRunIn(ctx context.Context, appID int64) (n int, err error) {
	err = h.db.Tx(ctx, func(tx *gorm.DB) error {
		var ids []int64
		err := tx.Model(&models.User{}).Where("app_id = ? AND presence = ?", appID, models.PresenceOnline).
			Limit(restartChunk).Pluck("id", &ids).Error
		n = len(ids)
		if err != nil || n == 0 {
			return err
		}
		return tx.Model(&models.User{}).Where("id IN ?", ids).Updates(map[string]any{
			"presence": gorm.Expr("CASE WHEN deactivated_at IS NULL THEN ? ELSE ? END",
				models.PresenceOffline, models.PresenceUnlogined),
			"presence_at": database.Later("presence_at", h.now()),
		}).Error
	})
	return n, err
}
