package subscriptions

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/models"
)

// The bounds of Excess, so that it costs the same in an app of any size.
const (
	// ExcessUsers is how many of the newest users of an app it examines.
	ExcessUsers = 10_000
	// ExcessRows is how many of their subscriptions it reads.
	ExcessRows = 100_000
)

// Excess returns how many of the app's newest users have subscribed to more statuses than a limit
// would allow. all is true if all users of the app were examined with all their subscriptions. If not,
// other users may have more as well.
func (s *Service) Excess(ctx context.Context, app *models.App, limit int) (users int, all bool, err error) {
	return s.excess(ctx, app, limit, ExcessUsers, ExcessRows)
}

// excess is Excess of that many users and subscriptions.
func (s *Service) excess(ctx context.Context, app *models.App, limit, mostUsers, mostRows int) (users int, all bool, err error) {
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	newest := "SELECT id FROM " + s.db.Using("users", "users_app_created") + " WHERE app_id = ? ORDER BY created_at DESC, id DESC LIMIT ?"
	var found struct{ Examined, Entries, Users int }
	err = s.db.Read(ctx).Raw(`SELECT (SELECT COUNT(*) FROM (`+newest+`) AS examined) AS examined,
			COALESCE(SUM(n), 0) AS entries,
			COUNT(CASE WHEN n > ? THEN 1 END) AS users
		FROM (SELECT user_id, COUNT(*) AS n
			FROM (SELECT s.user_id FROM (`+newest+`) AS newest
				`+s.db.Then()+` `+s.db.InOrder("status_subscriptions s")+` ON s.user_id = newest.id LIMIT ?) AS entries
			GROUP BY user_id) AS lists`,
		app.ID, mostUsers, limit, app.ID, mostUsers, mostRows).Scan(&found).Error
	if err != nil {
		return 0, false, fault.Wrap(err, "counting users with more subscriptions than a limit")
	}
	return found.Users, found.Examined < mostUsers && found.Entries < mostRows, nil
}
