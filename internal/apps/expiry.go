package apps

import (
	"time"

	"rollcall/internal/retention"
	"rollcall/models"
)

// MinAuditRetention is the shortest time for which audit entries may be kept. It is longer than an
// entry counts failed logins, and than RevokedSince looks back.
const MinAuditRetention = 24 * time.Hour

// Expiring are the sessions of operators that have ended by time, and the audit entries older than
// auditRetention; 0: they are kept for ever.
func Expiring(auditRetention time.Duration) []retention.Rule {
	rules := []retention.Rule{
		{Rows: "idle sessions", Table: &models.OperatorSession{}, Key: "id", Column: "last_seen_at", Age: SessionIdle},
		{Rows: "old sessions", Table: &models.OperatorSession{}, Key: "id", Column: "created_at", Age: SessionLifetime},
	}
	if auditRetention > 0 {
		rules = append(rules, retention.Rule{
			Rows: "old audit entries", Table: &models.AuditEntry{}, Key: "id", Column: "at", Age: auditRetention,
		})
	}
	return rules
}
