package relations

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// edit is one operation on a user's blocklist or whitelist with many IDs, item by
// item in the order asked.
type edit struct {
	// column is the entries' column of the other user, counter the owner's count.
	column, counter string
	// table is an empty entry of the list.
	table any
	// add says whether entries are added or removed.
	add bool
	// limit is how many entries there may be, and full the refusal of one more.
	limit int
	full  fault.Code
	// write writes the rows of those that are added, a millisecond apart from at on.
	write func(tx *gorm.DB, owner *models.User, others []*models.User, at models.Time) error
	// changed carries out and notes what the changed entries mean for others.
	changed func(tx *gorm.DB, owner *models.User, others []*models.User, n *notes) error
}

// edit carries out e on the list of userID and answers each item at its place.
// Errors: of the owner, USER_NOT_FOUND and USER_DEACTIVATED.
func (s *Service) edit(ctx context.Context, app *models.App, userID string, ids []string, e edit) ([]*models.ItemResult, error) {
	var results []*models.ItemResult
	err := s.change(ctx, app, append([]string{userID}, ids...), func(tx *gorm.DB, who userlock.Users, n *notes) error {
		owner, err := who.Active(userID)
		if err != nil {
			return err
		}
		listed, err := e.listed(tx, owner, who)
		if err != nil {
			return err
		}
		count := map[string]int{"block_count": owner.BlockCount, "whitelist_count": owner.WhitelistCount}[e.counter]
		results = make([]*models.ItemResult, len(ids))
		var changed []*models.User
		for i, id := range ids {
			other := who[id]
			switch {
			case id == userID && e.add:
				results[i] = refused(id, oneself())
			case other == nil:
				results[i] = refused(id, userlock.Unknown(id))
			case other.DeactivatedAt != nil && e.add:
				results[i] = refused(id, userlock.Deactivated(id))
			case listed[other.ID] == e.add:
				results[i] = already(id)
			case e.add && count+len(changed) >= e.limit:
				results[i] = refused(id, fault.New(e.full, "the user %q has the %d entries that it may", userID, e.limit))
			default:
				results[i] = done(id)
				listed[other.ID] = e.add
				changed = append(changed, other)
			}
		}
		return e.apply(tx, owner, changed, n)
	})
	return results, err
}

// listed answers who of the people is on the owner's list, in one query.
func (e edit) listed(tx *gorm.DB, owner *models.User, who userlock.Users) (map[int64]bool, error) {
	keys := make([]int64, 0, len(who))
	for _, u := range who {
		keys = append(keys, u.ID)
	}
	var found []int64
	err := tx.Model(e.table).Where("user_id = ? AND "+e.column+" IN ?", owner.ID, keys).Pluck(e.column, &found).Error
	out := make(map[int64]bool, len(found))
	for _, key := range found {
		out[key] = true
	}
	return out, err
}

// apply writes the entries that change, and the owner's count of them.
func (e edit) apply(tx *gorm.DB, owner *models.User, changed []*models.User, n *notes) error {
	if len(changed) == 0 {
		return nil
	}
	by := len(changed)
	var err error
	if e.add {
		err = e.write(tx, owner, changed, n.held.moments(n.at, len(changed)))
	} else {
		by = -by
		keys := make([]int64, len(changed))
		for i, u := range changed {
			keys[i] = u.ID
		}
		err = tx.Where("user_id = ? AND "+e.column+" IN ?", owner.ID, keys).Delete(e.table).Error
	}
	if err != nil {
		return err
	}
	if e.changed != nil {
		if err := e.changed(tx, owner, changed, n); err != nil {
			return err
		}
	}
	return tx.Model(&models.User{}).Where("id = ?", owner.ID).Update(e.counter, gorm.Expr(e.counter+" + ?", by)).Error
}

// exists says whether a table has a row that fits.
func exists(tx *gorm.DB, table any, where string, args ...any) (bool, error) {
	var n int64
	err := tx.Model(table).Where(where, args...).Limit(1).Count(&n).Error
	return n > 0, err
}
