package jobs

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring are the jobs that began long ago.
func Expiring() []retention.Rule {
	return []retention.Rule{{Rows: "old jobs", Table: &models.Job{}, Key: "id", Column: "started_at", Age: memory}}
}
