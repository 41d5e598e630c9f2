package headcount

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// OfApp returns the parts of an app's user count.
func OfApp() []retention.AppRows {
	return []retention.AppRows{{Rows: "parts of a user count", Table: &models.UserCountPart{}, Key: "part", Of: "app_id = ?"}}
}
