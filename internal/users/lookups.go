package users

import (
	"strings"

	"rollcall/internal/database"
	"rollcall/models"
)

// What is read on nearly every request is read by hand-written statements, and
// without the columns that no answer and no check needs.
var (
	userRow = database.RowOf[models.User]("search_name")
	appRow  = database.RowOf[models.App]("secret_hash")
)

// byExternalID reads users by the IDs that the API has for them, of several apps
// at once. The index is named because MySQL's family may prefer to walk through
// an app that it takes for small.
func byExternalID(db *database.DB) database.Lookup[externalKey, *models.User] {
	from := "SELECT " + userRow.Columns("users") + " FROM " + db.Using("users", "users_app_external") + " WHERE "
	return database.Lookup[externalKey, *models.User]{
		What: "users",
		Text: func(n int) string {
			return from + strings.Repeat("users.app_id = ? AND users.external_id = ? OR ", n-1) + "users.app_id = ? AND users.external_id = ?"
		},
		Bind: func(args []any, key externalKey) []any { return append(args, key.appID, key.externalID) },
		Rows: func([]externalKey) ([]any, func() (externalKey, *models.User)) {
			var row models.User
			return userRow.Targets(&row), func() (externalKey, *models.User) {
				u := row
				return externalKey{u.AppID, u.ExternalID}, &u
			}
		},
	}
}

// accessByID reads users with their apps by users.id.
var accessByID = database.Lookup[int64, *access]{
	What: "users",
	Text: func(n int) string {
		return "SELECT " + userRow.Columns("users") + ", " + appRow.Columns("apps") +
			" FROM users JOIN apps ON apps.id = users.app_id WHERE users.id IN " + placeholders(n)
	},
	Bind: bindID,
	Rows: func([]int64) ([]any, func() (int64, *access)) {
		var row access
		return append(userRow.Targets(&row.User), appRow.Targets(&row.App)...), func() (int64, *access) {
			a := row
			return a.User.ID, &a
		}
	},
}

// appByID reads apps by apps.id.
var appByID = database.Lookup[int64, *models.App]{
	What: "apps",
	Text: func(n int) string {
		return "SELECT " + appRow.Columns("apps") + " FROM apps WHERE apps.id IN " + placeholders(n)
	},
	Bind: bindID,
	Rows: func([]int64) ([]any, func() (int64, *models.App)) {
		var row models.App
		return appRow.Targets(&row), func() (int64, *models.App) {
			app := row
			return app.ID, &app
		}
	},
}

func bindID(args []any, id int64) []any { return append(args, id) }

// placeholders answers a list of n of them.
func placeholders(n int) string { return "(" + strings.Repeat("?, ", n-1) + "?)" }
