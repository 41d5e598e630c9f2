package jobs

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// Expiring returns the rule that deletes old jobs.
func Expiring() []retention.Rule {
	return []retention.Rule{{Rows: "old jobs", Table: &models.Job{}, Key: "id", Column: "started_at", Age: memory}}
}

// OfApp returns the jobs of an app.
func OfApp() []retention.AppRows {
	return []retention.AppRows{{Rows: "jobs", Table: &models.Job{}, Key: "id", Of: "app_id = ?"}}
}
