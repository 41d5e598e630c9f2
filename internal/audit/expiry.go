package audit

import (
	"time"

	"rollcall/internal/retention"
	"rollcall/models"
)

// MinRetention is the shortest time for which entries may be kept. It is longer than an
// entry counts failed logins, and than RevokedSince looks back.
const MinRetention = 24 * time.Hour

// Expiring are the entries older than age; 0: they are kept for ever.
func Expiring(age time.Duration) []retention.Rule {
	if age <= 0 {
		return nil
	}
	return []retention.Rule{
		{Rows: "old audit entries", Table: &models.AuditEntry{}, Key: "id", Column: "at", Age: age},
	}
}
