package relations

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring are the requests that have expired, and the counts of days that have ended.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "expired friend requests", Table: &models.FriendRequest{}, Key: "id", Column: "expires_at"},
		{Rows: "counts of friend requests", Table: &models.FriendRequestCount{}, Key: "user_id", Column: "since", Age: requestDay},
	}
}
