package floor

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"
)

type permissionData struct {
	MessagePermission struct {
		Allowed bool    `json:"allowed"`
		Reason  *string `json:"reason"`
	} `json:"messagePermission"`
}

// newPermission is the floor of row 2: one prepared statement that reads all that the rules need,
// and the rules.
func newPermission(ctx context.Context, args []string) (http.Handler, error) {
	a, err := newAPI(ctx, args)
	if err != nil {
		return nil, err
	}
	var friendsOnly bool
	if err := a.db.QueryRowContext(ctx, "SELECT only_friends_can_message FROM apps WHERE id = ?", a.app).Scan(&friendsOnly); err != nil {
		return nil, err
	}
	read, err := a.db.PrepareContext(ctx, `SELECT s.id, s.deactivated_at, s.banned_until, r.id, r.deactivated_at, COALESCE(r.whitelist_enabled, 0),
			EXISTS (SELECT 1 FROM whitelist_entries WHERE user_id = r.id AND allowed_id = s.id),
			EXISTS (SELECT 1 FROM blocks WHERE user_id = r.id AND blocked_id = s.id),
			EXISTS (SELECT 1 FROM friendships WHERE user_id = r.id AND friend_id = s.id)
		FROM users s LEFT JOIN users r ON r.app_id = s.app_id AND r.external_id = ?
		WHERE s.app_id = ? AND s.external_id = ?`)
	if err != nil {
		return nil, err
	}
	return serve(a, func(ctx context.Context, v struct{ From, To string }) (any, error) {
		var sender int64
		var recipient, gone, banned, recipientGone sql.NullInt64
		var whitelist, listed, blocked, friends bool
		err := read.QueryRowContext(ctx, v.To, a.app, v.From).
			Scan(&sender, &gone, &banned, &recipient, &recipientGone, &whitelist, &listed, &blocked, &friends)
		var reason string
		switch {
		case errors.Is(err, sql.ErrNoRows):
			reason = "SENDER_NOT_FOUND"
		case err != nil:
			return nil, err
		case gone.Valid:
			reason = "SENDER_DEACTIVATED"
		case banned.Int64 > time.Now().UnixMilli():
			reason = "SENDER_BANNED"
		case !recipient.Valid:
			reason = "RECIPIENT_NOT_FOUND"
		case recipientGone.Valid:
			reason = "RECIPIENT_DEACTIVATED"
		case sender == recipient.Int64:
		case whitelist && !listed:
			reason = "NOT_IN_WHITELIST"
		case !whitelist && blocked:
			reason = "BLOCKED_BY_RECIPIENT"
		case friendsOnly && !friends:
			reason = "NOT_FRIENDS"
		}
		var data permissionData
		data.MessagePermission.Allowed = reason == ""
		if reason != "" {
			data.MessagePermission.Reason = &reason
		}
		return data, nil
	}), nil
}
