package operators

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring returns the rules that delete the expired sessions and unfinished logins of
// operators.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "idle sessions", Table: &models.OperatorSession{}, Key: "id", Column: "last_seen_at", Age: SessionIdle},
		{Rows: "unfinished logins", Table: &models.OperatorPendingLogin{}, Key: "id", Column: "created_at", Age: PendingLifetime},
		{Rows: "old sessions", Table: &models.OperatorSession{}, Key: "id", Column: "created_at", Age: SessionLifetime},
	}
}
