package relations

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring returns the rules that delete expired requests and the request counts of past days.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "expired friend requests", Table: &models.FriendRequest{}, Key: "id", Column: "expires_at"},
		{Rows: "expired sent friend requests", Table: &models.SentFriendRequest{}, Key: "id", Column: "expires_at"},
		{Rows: "counts of friend requests", Table: &models.FriendRequestCount{}, Key: "user_id", Column: "since", Age: requestDay},
	}
}
