package operators

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring returns the rules that delete the sessions that expired EndMemory ago, expired API keys,
// unfinished logins and old invitations of operators.
func Expiring() []retention.Rule {
	return []retention.Rule{
		{Rows: "idle sessions", Table: &models.OperatorSession{}, Key: "id", Column: "last_seen_at", Age: SessionIdle + EndMemory},
		{Rows: "unfinished logins", Table: &models.OperatorPendingLogin{}, Key: "id", Column: "created_at", Age: PendingLifetime},
		{Rows: "old invitations", Table: &models.OperatorInvitation{}, Key: "id", Column: "created_at", Age: invitationMemory},
		{Rows: "expired API keys", Table: &models.OperatorKey{}, Key: "id", Column: "expires_at", Age: keyMemory},
		{Rows: "used challenges", Table: &models.OperatorChallenge{}, Key: "id", Column: "used_at", Age: ChallengeLifetime},
		{Rows: "old sessions", Table: &models.OperatorSession{}, Key: "id", Column: "created_at", Age: SessionLifetime + EndMemory},
		{Rows: "ends of sessions", Table: &models.OperatorSessionEnd{}, Key: "id", Column: "ended_at", Age: EndMemory},
	}
}
