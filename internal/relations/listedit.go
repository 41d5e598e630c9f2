package relations

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// edit is one operation on a user's blocklist or whitelist with many IDs. Each item has its own
// result, in the order of the IDs.
type edit struct {
	// column is the entries' column of the other user, counter the owner's count, and count its value.
	column, counter string
	count           func(owner *models.User) *int
	// table is an empty entry of the list.
	table any
	// add reports whether entries are added; otherwise they are removed.
	add bool
	// limit is the maximum number of entries, and full the code of the refusal of one more.
	limit int
	full  fault.Code
	// write inserts the rows of the added users, a millisecond apart, the first at at.
	write func(tx *gorm.DB, owner *models.User, others []*models.User, at models.Time) error
	// changed makes the changes that the changed entries cause elsewhere, and notes their events.
	changed func(tx *gorm.DB, owner *models.User, others []*models.User, n *notes) error
}

// edit carries out e on the list of userID and returns the result of each ID at its place. Returns
// USER_NOT_FOUND or USER_DEACTIVATED if the owner cannot have a list.
func (s *Service) edit(ctx context.Context, app *models.App, userID string, ids []string, e edit) ([]*batch.Result, error) {
	var results []*batch.Result
	err := s.change(ctx, app, append([]string{userID}, ids...), func(tx *gorm.DB, users userlock.Users, n *notes) error {
		owner, err := users.Active(userID)
		if err != nil {
			return err
		}
		listed, err := e.listed(tx, owner, users)
		if err != nil {
			return err
		}
		results = make([]*batch.Result, len(ids))
		var changed []*models.User
		for i, id := range ids {
			other := users[id]
			switch {
			case id == userID && e.add:
				results[i] = batch.Refused(id, owner, oneself())
			case other == nil:
				results[i] = batch.Refused(id, nil, userlock.Unknown(id))
			case other.DeactivatedAt != nil && e.add:
				results[i] = batch.Refused(id, other, userlock.Deactivated(id))
			case listed[other.ID] == e.add:
				results[i] = batch.Already(other)
			case e.add && *e.count(owner)+len(changed) >= e.limit:
				results[i] = batch.Refused(id, other, fault.New(e.full, "the list of the user %q already has the maximum of %d entries", userID, e.limit).With("limit", e.limit))
			default:
				results[i] = batch.Done(other)
				listed[other.ID] = e.add
				changed = append(changed, other)
			}
		}
		return e.apply(tx, owner, changed, n)
	})
	return results, err
}

// listed returns the users.id of those users that are on the owner's list, in one query.
func (e edit) listed(tx *gorm.DB, owner *models.User, users userlock.Users) (map[int64]bool, error) {
	keys := make([]int64, 0, len(users))
	for _, u := range users {
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
	*e.count(owner) += by // the response may show the owner
	return tx.Model(&models.User{}).Where("id = ?", owner.ID).Update(e.counter, gorm.Expr(e.counter+" + ?", by)).Error
}

// exists reports whether a table has a row that satisfies where.
func exists(tx *gorm.DB, table any, where string, args ...any) (bool, error) {
	var n int64
	err := tx.Model(table).Where(where, args...).Limit(1).Count(&n).Error
	return n > 0, err
}
