package figures

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// OfApp returns the figures of an app.
func OfApp() []retention.AppRows {
	return []retention.AppRows{{Rows: "figures", Table: &models.AppFigures{}, Key: "begins_at", Of: "app_id = ?"}}
}
