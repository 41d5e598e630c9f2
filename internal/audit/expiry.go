package audit

import (
	"time"

	"rollcall/internal/retention"
	"rollcall/models"
)

// MinRetention is the shortest time for which entries may be kept. It is longer than an entry
// counts failed logins, and longer than RevokedSince looks back.
const MinRetention = 24 * time.Hour

// Expiring returns the rule that deletes the entries older than age. If age is 0, entries are kept
// forever.
func Expiring(age time.Duration) []retention.Rule {
	if age <= 0 {
		return nil
	}
	return []retention.Rule{
		{Rows: "old audit entries", Table: &models.AuditEntry{}, Key: "id", Column: "at", Age: age},
	}
}
