package relations

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/models"
)

// adding are the statements that make two users friends who may simply become
// friends, which is nearly always so: conditional updates find out whether it is,
// and nothing has to be read and locked before.
type adding struct {
	count  *database.Command
	insert *database.Command
	read   *database.Query
}

// errNotPlain: something stands against it, or has to be done otherwise.
var errNotPlain = errors.New("the two cannot simply become friends")

func newAdding(db *database.DB) *adding {
	return &adding{
		// Locks the rows in the order of the keys, as everybody does.
		count: db.NewCommand(`UPDATE users SET friend_count = friend_count + 1
			WHERE id IN (?, ?) AND deactivated_at IS NULL AND friend_count < ?`),
		insert: db.NewCommand("INSERT INTO friendships (user_id, created_at, friend_id, remark) VALUES (?, ?, ?, ?), (?, ?, ?, NULL)"),
		// Of each of the two, with what it has about the other.
		read: db.NewQuery("SELECT " + userRow.Columns("users") + `, b.user_id IS NOT NULL, COALESCE(q.id, 0), COALESCE(q.expires_at, 0)
			FROM users
			LEFT JOIN blocks b ON b.user_id = users.id AND b.blocked_id IN (?, ?)
			LEFT JOIN friend_requests q ON q.from_id = users.id AND q.to_id IN (?, ?)
			WHERE users.id IN (?, ?)`),
	}
}

// party is one of two who become friends.
type party struct {
	user    models.User
	blocks  bool // the other
	request int64
	expires models.Time
}

// addPlain makes friends of two who are active, none yet, and have room for each
// other. errNotPlain: one of this is not so, and nothing has been changed.
func (s *Service) addPlain(ctx context.Context, app *models.App, owner, friend int64, remark *string, held heldTurns) (*Friendship, *notes, error) {
	if owner == 0 || friend == 0 {
		return nil, nil, errNotPlain
	}
	if err := database.Prepare(s.adding.count, s.adding.insert, s.adding.read); err != nil {
		return nil, nil, err
	}
	var n *notes
	var out *Friendship
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		n = &notes{at: s.now(), turns: held}
		counted, err := s.adding.count.Run(tx, owner, friend, app.Settings.FriendLimit)
		if err != nil {
			return err
		}
		if counted != 2 {
			return errNotPlain
		}
		at := held.moments(n.at, 1)
		remark := nonEmpty(remark)
		_, err = s.adding.insert.Run(tx, owner, at, friend, remark, friend, at, owner)
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return errNotPlain
		}
		if err != nil {
			return err
		}
		parties, err := s.adding.parties(tx, owner, friend)
		if err != nil {
			return err
		}
		a, b := parties[owner], parties[friend]
		if err := endPair(tx, n, a, b); err != nil {
			return err
		}
		n.tell(&a.user, FriendAdded, &b.user)
		n.tell(&b.user, FriendAdded, &a.user)
		out = &Friendship{User: &b.user, Remark: remark, CreatedAt: at, Blocked: a.blocks}
		return nil
	})
	return out, n, err
}

// parties reads the two, who are locked.
func (a *adding) parties(tx *gorm.DB, owner, friend int64) (map[int64]*party, error) {
	out := make(map[int64]*party, 2)
	var row party
	targets := append(userRow.Targets(&row.user), &row.blocks, &row.request, &row.expires)
	err := a.read.EachIn(tx, []any{owner, friend, owner, friend, owner, friend}, targets, func() {
		one := row
		out[one.user.ID] = &one
	})
	if err == nil && len(out) != 2 {
		err = fmt.Errorf("of two users that were locked, %d are there", len(out))
	}
	return out, err
}

// endPair deletes the requests between the two, which count as accepted.
func endPair(tx *gorm.DB, n *notes, a, b *party) error {
	for _, pair := range [][2]*party{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		if from.request == 0 {
			continue
		}
		if from.expires > n.at {
			n.tell(&from.user, FriendRequestAccepted, &to.user)
		}
		if err := tx.Delete(&models.FriendRequest{}, from.request).Error; err != nil {
			return err
		}
	}
	return nil
}
