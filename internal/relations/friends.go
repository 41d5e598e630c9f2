package relations

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// noteRule is the rule for remarks and the messages of friend requests.
const noteRule = "omitnil,max=100"

// validateRemark returns INVALID_ARGUMENT for a remark that is too long.
func validateRemark(remark *string) error { return validate.Value("remark", remark, noteRule) }

// Friendship is a friendship as one of the two users, its owner, sees it.
type Friendship struct {
	Owner *models.User
	// User is the friend.
	User *models.User
	// Remark is the owner's remark about the friend, or nil.
	Remark    *string
	CreatedAt models.Time
	// Blocked reports whether the friend is on the owner's blocklist.
	Blocked bool
}

// ID returns the node's ID.
func (f *Friendship) ID() string {
	return models.FriendshipNode.PairID(f.Owner.ExternalID, f.User.ExternalID)
}

// Befriended is the result of adding a friend.
type Befriended struct {
	// Friendship is the friendship as the user sees it that the friend was added for.
	Friendship *Friendship
	// Created reports whether the two were not friends before.
	Created bool
}

// AddFriend makes two users friends, whatever their lists contain, and accepts the requests between
// them. If they are already friends, it changes only the remark, which belongs to userID, and only if
// remark is neither nil nor "". Returns SELF_REFERENCE, INVALID_ARGUMENT for the remark, or USER_NOT_FOUND, USER_DEACTIVATED or
// FRIEND_LIMIT_REACHED, each with `userId`.
func (s *Service) AddFriend(ctx context.Context, app *models.App, userID, friendID string, remark *string) (*Befriended, error) {
	if userID == friendID {
		return nil, oneself()
	}
	if err := validateRemark(remark); err != nil {
		return nil, err
	}
	var out *added
	err := s.serialize(ctx, app, []string{userID, friendID}, func(keys map[string]int64, held *heldUsers) (*notes, error) {
		wanted := &addition{
			appID: app.ID, limit: app.Settings.FriendLimit, ownerID: userID, friendID: friendID,
			owner: keys[userID], friend: keys[friendID], remark: nonEmpty(remark), held: held,
		}
		done, err := s.adder.add(ctx, wanted)
		if err != nil {
			return nil, err
		}
		if done != nil {
			out = done
			return done.notes, nil
		}
		return s.locked(ctx, app, keys, held, func(tx *gorm.DB, _ userlock.Users, n *notes) (err error) {
			out, err = s.adder.addLocked(tx, wanted, n)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return &Befriended{Friendship: out.friendship, Created: out.begins}, nil
}

// befriend makes two locked users friends, and returns the friendship as owner sees it. The
// requests between them are accepted. Returns FRIEND_LIMIT_REACHED of either.
func (s *Service) befriend(tx *gorm.DB, app *models.App, owner, friend *models.User, n *notes) (*Friendship, error) {
	out, err := s.adder.addLocked(tx, &addition{
		limit: app.Settings.FriendLimit, ownerID: owner.ExternalID, friendID: friend.ExternalID,
		owner: owner.ID, friend: friend.ID,
	}, n)
	if err != nil {
		return nil, err
	}
	return out.friendship, nil
}

// RemoveFriend ends a friendship, with both directions and their remarks. The outcome is DONE, ALREADY
// if the two are not friends, or NOT_FOUND if there is no user friendID. Returns USER_NOT_FOUND or
// USER_DEACTIVATED for the owner.
func (s *Service) RemoveFriend(ctx context.Context, app *models.App, userID, friendID string) (models.Outcome, error) {
	var out models.Outcome
	err := s.change(ctx, app, []string{userID, friendID}, func(tx *gorm.DB, users userlock.Users, n *notes) error {
		owner, err := users.Active(userID)
		if err != nil {
			return err
		}
		friend := users[friendID]
		if friend == nil {
			out = models.OutcomeNotFound
			return nil
		}
		gone := tx.Where("user_id = ? AND friend_id = ? OR user_id = ? AND friend_id = ?", owner.ID, friend.ID, friend.ID, owner.ID).
			Delete(&models.Friendship{})
		if gone.Error != nil {
			return gone.Error
		}
		if gone.RowsAffected == 0 {
			out = models.OutcomeAlready
			return nil
		}
		out = models.OutcomeDone
		n.tell(owner, FriendRemoved, friend)
		n.tell(friend, FriendRemoved, owner)
		return countFriends(tx, -1, owner, friend)
	})
	return out, err
}

// SetFriendRemark sets the remark about a friend; "" clears it. Returns INVALID_ARGUMENT for the
// remark, NOT_FRIENDS, USER_NOT_FOUND or USER_DEACTIVATED.
func (s *Service) SetFriendRemark(ctx context.Context, app *models.App, userID, friendID, remark string) (*Friendship, error) {
	if err := validateRemark(&remark); err != nil {
		return nil, err
	}
	var out *Friendship
	err := s.change(ctx, app, []string{userID, friendID}, func(tx *gorm.DB, users userlock.Users, n *notes) error {
		owner, err := users.Active(userID)
		if err != nil {
			return err
		}
		friend := users[friendID]
		if friend == nil {
			return userlock.Unknown(friendID)
		}
		row, err := friendship(tx, owner, friend)
		if err != nil {
			return err
		}
		if row == nil {
			return fault.New(fault.NotFriends, "the users %q and %q are not friends", userID, friendID)
		}
		changed := text(row.Remark) != remark
		row.Remark = nonEmpty(&remark)
		if out, err = view(tx, owner, friend, row); err != nil || !changed {
			return err
		}
		n.tellFriendship(FriendRemarkChanged, out)
		return writeRemark(tx, owner.ID, friend.ID, row.Remark)
	})
	return out, err
}

// friendship returns owner's row about friend, or nil if they are not friends.
func friendship(tx *gorm.DB, owner, friend *models.User) (*models.Friendship, error) {
	row := &models.Friendship{}
	err := tx.Where("user_id = ? AND friend_id = ?", owner.ID, friend.ID).Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return row, err
}

// countFriends adds by to both counts, also in the given users, which the response may show.
func countFriends(tx *gorm.DB, by int, a, b *models.User) error {
	a.FriendCount += by
	b.FriendCount += by
	return tx.Model(&models.User{}).Where("id IN ?", []int64{a.ID, b.ID}).
		Update("friend_count", gorm.Expr("friend_count + ?", by)).Error
}

// writeRemark writes the owner's remark about a friend. Both are users.id.
func writeRemark(tx *gorm.DB, owner, friend int64, remark *string) error {
	return tx.Model(&models.Friendship{}).Where("user_id = ? AND friend_id = ?", owner, friend).Update("remark", remark).Error
}

// view returns owner's friendship as the API shows it.
func view(tx *gorm.DB, owner, friend *models.User, row *models.Friendship) (*Friendship, error) {
	blocked, err := hasBlocked(tx, owner.ID, friend.ID)
	return &Friendship{Owner: owner, User: friend, Remark: row.Remark, CreatedAt: row.CreatedAt, Blocked: blocked}, err
}

// nonEmpty returns nil for "", because an empty value is stored as NULL.
func nonEmpty(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
