package floor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// friendLimit is the limit of friends in the app.
const friendLimit = 1000

type friendship struct {
	In struct {
		UserID   string `json:"userId"`
		FriendID string `json:"friendId"`
	} `json:"in"`
}

type addFriendData struct {
	AddFriend struct {
		Friendship struct {
			CreatedAt string `json:"createdAt"`
			User      byID   `json:"user"`
		} `json:"friendship"`
	} `json:"addFriend"`
}

// newAddFriend is the floor of row 4: a transaction of five prepared statements.
func newAddFriend(ctx context.Context, args []string) (http.Handler, error) {
	a, err := newAPI(ctx, args)
	if err != nil {
		return nil, err
	}
	find, err := a.db.PrepareContext(ctx, `SELECT id FROM users
		WHERE app_id = ? AND external_id IN (?, ?) AND deactivated_at IS NULL ORDER BY id`)
	if err != nil {
		return nil, err
	}
	count, err := a.db.PrepareContext(ctx, "UPDATE users SET friend_count = friend_count + 1 WHERE id = ? AND friend_count < ?")
	if err != nil {
		return nil, err
	}
	insert, err := a.db.PrepareContext(ctx, "INSERT INTO friendships (user_id, created_at, friend_id) VALUES (?, ?, ?)")
	if err != nil {
		return nil, err
	}
	return serve(a, func(ctx context.Context, v friendship) (any, error) {
		tx, err := a.db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback() // no effect after the commit
		ids, err := two(ctx, tx.StmtContext(ctx, find), a.app, v.In.UserID, v.In.FriendID)
		if err != nil {
			return nil, err
		}
		now := time.Now().UnixMilli()
		for _, id := range ids { // in the order of the keys, to prevent deadlocks
			done, err := tx.StmtContext(ctx, count).ExecContext(ctx, id, friendLimit)
			if err != nil {
				return nil, err
			}
			if n, err := done.RowsAffected(); err != nil || n == 0 {
				return nil, fmt.Errorf("user %d has reached the limit of friends: %w", id, err)
			}
		}
		for i, id := range ids {
			if _, err := tx.StmtContext(ctx, insert).ExecContext(ctx, id, now, ids[1-i]); err != nil {
				return nil, err
			}
		}
		var data addFriendData
		data.AddFriend.Friendship.CreatedAt = moment(now)
		data.AddFriend.Friendship.User.ID = v.In.FriendID
		return data, tx.Commit()
	}), nil
}

// two returns the keys of two users in ascending order.
func two(ctx context.Context, find *sql.Stmt, app int64, a, b string) (ids [2]int64, err error) {
	rows, err := find.QueryContext(ctx, app, a, b)
	if err != nil {
		return ids, err
	}
	defer rows.Close()
	for i := range ids {
		if !rows.Next() {
			return ids, errors.Join(errors.New("expected two users"), rows.Err())
		}
		if err := rows.Scan(&ids[i]); err != nil {
			return ids, err
		}
	}
	return ids, rows.Err()
}
