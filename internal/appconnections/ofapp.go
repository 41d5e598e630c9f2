package appconnections

import (
	"rollcall/internal/retention"
	"rollcall/models"
)

// OfApp returns the records of an app's connections.
func OfApp() []retention.AppRows {
	return []retention.AppRows{{Rows: "connections", Table: &models.AppConnection{}, Key: "id", Of: "app_id = ?"}}
}
