package jobs

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring returns the rule that deletes old jobs.
func Expiring() []retention.Rule {
	return []retention.Rule{{Rows: "old jobs", Table: &models.Job{}, Key: "id", Column: "started_at", Age: memory}}
}
