package console

import (
	"rollcall/models"
)

// appsPage is the data of apps.html.
type appsPage struct {
	Apps []appRow
	// NewPath is the page that creates an app, or "" if the visitor may not create one.
	NewPath string
}

type appRow struct {
	*models.App
	// OverviewPath is the app's first page.
	OverviewPath string
	// UsersPath lists the app's users.
	UsersPath string
	// BulkPath begins the paths of the actions on several users.
	BulkPath string
	// DisablePath, EnablePath and DeletePath are where the app is disabled, enabled and deleted.
	DisablePath, EnablePath, DeletePath string
	// Limit is the maximum number of users if Limited is true.
	Limit   int
	Limited bool
	Online  *online // nil if unknown
	// Users holds the app's counts, on the pages that show them.
	Users models.UserCounts
}

// Development reports whether the app's environment is DEVELOPMENT.
func (r appRow) Development() bool { return r.Environment == models.EnvironmentDevelopment }

func (c *console) listApps(v *visit) error {
	list, err := c.appsOf(v)
	if err != nil {
		return err
	}
	page := appsPage{}
	if v.rights().may(adminsOfAll) {
		page.NewPath = newAppPath
	}
	counts, err := c.Apps.UserCounts(v.r.Context(), list...)
	if err != nil {
		return err
	}
	for _, app := range list {
		row := c.appRow(v, app)
		row.Users = counts[app.ID]
		page.Apps = append(page.Apps, row)
	}
	return c.show(v, "apps", page)
}

func (c *console) appRow(v *visit, app *models.App) appRow {
	row := appRow{
		App: app, OverviewPath: overviewPath(app), UsersPath: usersPath(app), BulkPath: bulkPath(app),
		DisablePath: appPath(app) + "/disable", EnablePath: appPath(app) + "/enable", DeletePath: appPath(app) + "/delete",
		Online: c.online(v, app),
	}
	if limit := app.RegisteredUserLimit(); limit != nil {
		row.Limit, row.Limited = *limit, true
	}
	return row
}

// countedRow returns the appRow of the app with its counts.
func (c *console) countedRow(v *visit, app *models.App) (appRow, error) {
	counts, err := c.Apps.UserCounts(v.r.Context(), app)
	if err != nil {
		return appRow{}, err
	}
	row := c.appRow(v, app)
	row.Users = counts[app.ID]
	return row, nil
}
