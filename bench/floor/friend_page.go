package floor

import (
	"context"
	"database/sql"
	"net/http"
	"time"
)

type friendsData struct {
	User struct {
		Friends struct {
			Nodes []friend `json:"nodes"`
		} `json:"friends"`
	} `json:"user"`
}

type friend struct {
	CreatedAt string     `json:"createdAt"`
	Remark    *string    `json:"remark"`
	User      friendUser `json:"user"`
}

type friendUser struct {
	user
	Status status `json:"status"`
}

type status struct {
	Presence     string  `json:"presence"`
	CustomStatus string  `json:"customStatus"`
	ChangedAt    *string `json:"changedAt"`
}

// presences are the API's names of the values of users.presence. No user is connected here, so an
// ONLINE that a crash has left is OFFLINE.
var presences = [...]string{"UNLOGINED", "OFFLINE", "OFFLINE"}

// newFriendPage is the floor of row 3: one prepared JOIN.
func newFriendPage(ctx context.Context, args []string) (http.Handler, error) {
	a, err := newAPI(ctx, args)
	if err != nil {
		return nil, err
	}
	read, err := a.db.PrepareContext(ctx, `SELECT f.created_at, f.remark, u.external_id, u.name, u.avatar_url, u.presence, u.presence_at
		FROM users o JOIN friendships f ON f.user_id = o.id JOIN users u ON u.id = f.friend_id
		WHERE o.app_id = ? AND o.external_id = ?
		ORDER BY f.created_at DESC, f.friend_id DESC LIMIT 50`)
	if err != nil {
		return nil, err
	}
	return serve(a, func(ctx context.Context, v byID) (any, error) {
		rows, err := read.QueryContext(ctx, a.app, v.ID)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var data friendsData
		for rows.Next() {
			var f friend
			var createdAt int64
			var presence int
			var changedAt sql.NullInt64
			err := rows.Scan(&createdAt, &f.Remark, &f.User.ID, &f.User.Name, &f.User.AvatarURL, &presence, &changedAt)
			if err != nil {
				return nil, err
			}
			f.CreatedAt = moment(createdAt)
			f.User.Status.Presence = presences[presence]
			if changedAt.Valid {
				at := moment(changedAt.Int64)
				f.User.Status.ChangedAt = &at
			}
			data.User.Friends.Nodes = append(data.User.Friends.Nodes, f)
		}
		return data, rows.Err()
	}), nil
}

// moment formats a column's milliseconds as the API does.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
