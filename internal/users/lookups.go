package users

import (
	"context"
	"strings"

	"rollcall/internal/database"
	"rollcall/internal/token"
	"rollcall/models"
)

// Nearly every request does these reads. They use hand-written statements that read only the
// columns needed for responses and checks.
var (
	userRow = database.RowOf[models.User]("search_name")
	appRow  = database.RowOf[models.App]("secret_hash", "previous_secret_hash", "registered_user_count", "deactivated_user_count", "ban_presets")

	profileRow = userRow.Only(models.ProfileColumns...)
)

// readersAlone is how many readers run queries of their own before further ones share. Measured with
// MariaDB: with half as many, four connections wait for each other; with twice as many, the further
// queries cost as much as sharing saves.
const readersAlone = 4

func coalescer[K comparable, V any](fetch func(context.Context, []K) (map[K]V, error)) *database.Coalescer[K, V] {
	return database.NewCoalescer(MaxIDs, fetch).Alone(readersAlone)
}

// byExternalID reads users by their external IDs, of several apps at once.
func byExternalID(db *database.DB) database.Lookup[externalKey, *models.User] {
	return database.Lookup[externalKey, *models.User]{
		What: "users",
		Text: func(n int) string {
			return "SELECT " + userRow.Columns("users") + " FROM " + byIndex(db) + whereExternalID(db, n)
		},
		Bind: bindExternalKey,
		Rows: func([]externalKey) ([]any, func() (externalKey, *models.User)) {
			var row models.User
			return userRow.Targets(&row), func() (externalKey, *models.User) {
				u := row
				return externalKey{u.AppID, u.ExternalID}, &u
			}
		},
	}
}

// userAndSecret is a user with the generation of its app's secret; see ByIDWithSecret.
type userAndSecret struct {
	models.User
	secretGeneration int
}

// userAndSecretByExternalID is byExternalID with the secret's generation and with these columns of
// the user. The app's other columns would make the statement a third more expensive.
func userAndSecretByExternalID(db *database.DB, user database.Row[models.User]) database.Lookup[externalKey, *userAndSecret] {
	return database.Lookup[externalKey, *userAndSecret]{
		What: "users and secrets",
		Text: func(n int) string {
			return "SELECT " + user.Columns("users") + ", " + token.LiveGeneration("apps") + " FROM " + byIndex(db) +
				" JOIN apps ON apps.id = users.app_id" + whereExternalID(db, n)
		},
		Bind: bindExternalKey,
		Rows: func([]externalKey) ([]any, func() (externalKey, *userAndSecret)) {
			var row userAndSecret
			return append(user.Targets(&row.User), &row.secretGeneration), func() (externalKey, *userAndSecret) {
				u := row
				return externalKey{u.AppID, u.ExternalID}, &u
			}
		},
	}
}

// byIndex returns the table users as these statements read it: MySQL and MariaDB may otherwise scan
// an app that they assume to be small.
func byIndex(db *database.DB) string { return db.Using("users", "users_app_external") }

func whereExternalID(db *database.DB, n int) string {
	return " WHERE " + db.Among(n, "users.app_id", "users.external_id")
}

func bindExternalKey(args []any, key externalKey) []any {
	return append(args, key.appID, key.externalID)
}

// accessByID reads users with their apps by users.id.
var accessByID = database.Lookup[int64, *access]{
	What: "users and apps",
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

// placeholders returns a list of n placeholders.
func placeholders(n int) string { return "(" + strings.Repeat("?, ", n-1) + "?)" }
