package relations

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/models"
)

// FriendshipBetween returns the owner's friendship with the friend, or nil if they are not friends.
func (s *Service) FriendshipBetween(ctx context.Context, owner, friend *models.User) (*Friendship, error) {
	row, err := friendship(s.db.Read(ctx), owner, friend)
	if err != nil || row == nil {
		return nil, fault.Wrap(err, "reading friendship")
	}
	out, err := view(s.db.Read(ctx), owner, friend, row)
	return out, fault.Wrap(err, "reading friendship")
}

// BlockOf returns the entry of the target on the owner's blocklist, or nil if there is none.
func (s *Service) BlockOf(ctx context.Context, owner, target *models.User) (*Block, error) {
	var row models.Block
	ok, err := take(s.db.Read(ctx).Where("user_id = ? AND blocked_id = ?", owner.ID, target.ID), &row)
	if err != nil || !ok {
		return nil, fault.Wrap(err, "reading blocklist")
	}
	return &Block{Owner: owner, User: target, CreatedAt: row.CreatedAt}, nil
}

// WhitelistEntryOf returns the entry of the target on the owner's whitelist, or nil if there is none.
func (s *Service) WhitelistEntryOf(ctx context.Context, owner, target *models.User) (*WhitelistEntry, error) {
	var row models.WhitelistEntry
	ok, err := take(s.db.Read(ctx).Where("user_id = ? AND allowed_id = ?", owner.ID, target.ID), &row)
	if err != nil || !ok {
		return nil, fault.Wrap(err, "reading whitelist")
	}
	return &WhitelistEntry{Owner: owner, User: target, CreatedAt: row.CreatedAt}, nil
}

// RequestByID returns the app's pending friend request with that ID, or nil if there is none.
func (s *Service) RequestByID(ctx context.Context, app *models.App, id string) (*FriendRequest, error) {
	key, ok := requestKey(s.requestIDs, id)
	if !ok {
		return nil, nil
	}
	request, err := s.requestByKey(ctx, app, key)
	return request, fault.Wrap(err, "reading a friend request")
}

// requestByKey returns the app's pending friend request with that friend_requests.id, or nil if there is
// none.
func (s *Service) requestByKey(ctx context.Context, app *models.App, key int64) (*FriendRequest, error) {
	var row models.FriendRequest
	ok, err := take(s.db.Read(ctx).Where("id = ? AND expires_at > ?", key, s.now()), &row)
	if err != nil || !ok {
		return nil, err
	}
	var parties []*models.User
	err = s.db.Read(ctx).Where("app_id = ? AND id IN ?", app.ID, []int64{row.FromID, row.ToID}).Find(&parties).Error
	if err != nil || len(parties) != 2 {
		return nil, err
	}
	from, to := parties[0], parties[1]
	if from.ID != row.FromID {
		from, to = to, from
	}
	return s.shown(&row, from, to), nil
}

// take reads one row, and reports whether there is one.
func take(query *gorm.DB, row any) (bool, error) {
	err := query.Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return false, nil
	}
	return err == nil, err
}
