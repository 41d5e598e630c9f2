package relations

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/models"
)

// ExcessUsers is how many of the newest users of an app Excess examines.
const ExcessUsers = 10_000

// Excess is how many users have more entries in a list than a limit would allow.
type Excess struct {
	Friends, Blocks, Whitelist int
	// All is true if all users of the app were examined. If not, older users may have more as well.
	All bool
}

// Excess returns how many of the app's newest users have more friends, blocks and whitelist entries
// than these settings would allow. It examines no more than ExcessUsers, and reads no list.
func (s *Service) Excess(ctx context.Context, app *models.App, limits models.AppSettings) (Excess, error) {
	return s.excess(ctx, app, limits, ExcessUsers)
}

// excess is Excess of that many users.
func (s *Service) excess(ctx context.Context, app *models.App, limits models.AppSettings, most int) (Excess, error) {
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	var found struct {
		Excess
		Examined int
	}
	err := s.db.Read(ctx).Raw(`SELECT COUNT(*) AS examined,
			COUNT(CASE WHEN friend_count > ? THEN 1 END) AS friends,
			COUNT(CASE WHEN block_count > ? THEN 1 END) AS blocks,
			COUNT(CASE WHEN whitelist_count > ? THEN 1 END) AS whitelist
		FROM (SELECT friend_count, block_count, whitelist_count FROM `+s.db.Using("users", "users_app_created")+`
			WHERE app_id = ? ORDER BY created_at DESC, id DESC LIMIT ?) AS newest`,
		limits.FriendLimit, limits.BlocklistLimit, limits.WhitelistLimit, app.ID, most).Scan(&found).Error
	if err != nil {
		return Excess{}, fault.Wrap(err, "counting users with more than a limit")
	}
	found.All = found.Examined < most
	return found.Excess, nil
}
