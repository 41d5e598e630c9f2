package mirror

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// RestartChunk is how many rows one transaction changes at a start, so that none holds many locks for
// long.
const RestartChunk = 1000

// EndEarlierRun sets the users to OFFLINE that an earlier process left ONLINE because it was
// killed, and notifies the observer. It goes app by app, because the index users_app_presence begins
// with the app.
func EndEarlierRun(ctx context.Context, db *database.DB, now models.Time, observer status.Observer) error {
	apps, err := gorm.G[models.App](db.Read(ctx)).Select("id").Find(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		for n := RestartChunk; n == RestartChunk; {
			if n, err = endEarlierRunIn(ctx, db, app.ID, now, observer); err != nil {
				return err
			}
		}
	}
	return nil
}

// endEarlierRunIn sets some users of one app to OFFLINE and returns how many. A user that was
// deactivated just before the earlier process ended becomes UNLOGINED.
func endEarlierRunIn(ctx context.Context, db *database.DB, appID int64, now models.Time, observer status.Observer) (n int, err error) {
	var changed []*models.User
	err = db.Tx(ctx, func(tx *gorm.DB) error {
		changed = nil
		var ids []int64
		err := tx.Model(&models.User{}).Where("app_id = ? AND presence = ?", appID, models.PresenceOnline).
			Limit(RestartChunk).Pluck("id", &ids).Error
		n = len(ids)
		if err != nil || n == 0 {
			return err
		}
		err = tx.Model(&models.User{}).Where("id IN ?", ids).Updates(map[string]any{
			"presence": gorm.Expr("CASE WHEN deactivated_at IS NULL THEN ? ELSE ? END",
				models.PresenceOffline, models.PresenceUnlogined),
			"presence_at": database.Later("presence_at", now),
		}).Error
		if err != nil || !observer.Wants(appID) {
			return err
		}
		return tx.Select("id", "app_id", "external_id", "presence", "presence_at").Where("id IN ?", ids).Find(&changed).Error
	})
	if err != nil {
		return n, err
	}
	for _, u := range changed {
		r := status.RecordOf(status.AccountOf(u))
		observer.Changed(&r)
	}
	return n, err
}
