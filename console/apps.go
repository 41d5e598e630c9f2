package console

import (
	"rollcall/models"
)

// appsPage is what apps.html shows.
type appsPage struct {
	Apps []appRow
	// NewPath is where an app is created, "" for who may not.
	NewPath string
}

type appRow struct {
	*models.App
	// OverviewPath is where an operator begins with the app.
	OverviewPath string
	// UsersPath is where the app's users are.
	UsersPath string
	// BulkPath is where something is done to many of them.
	BulkPath string
	// Limit bounds the app's users where Limited.
	Limit   int
	Limited bool
	Online  *online // nil: not known
	// Users are the app's counts, on the pages that show them.
	Users models.UserCounts
}

// Development says whether the app is for trying out.
func (r appRow) Development() bool { return r.Environment == models.EnvironmentDevelopment }

func (c *console) listApps(v *visit) error {
	list, err := c.Apps.List(v.r.Context())
	if err != nil {
		return err
	}
	page := appsPage{}
	if v.operator.Role == models.RoleAdmin {
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
		Online: c.online(v, app),
	}
	if limit := app.RegisteredUserLimit(); limit != nil {
		row.Limit, row.Limited = *limit, true
	}
	return row
}

// countedRow is appRow with the app's counts.
func (c *console) countedRow(v *visit, app *models.App) (appRow, error) {
	counts, err := c.Apps.UserCounts(v.r.Context(), app)
	if err != nil {
		return appRow{}, err
	}
	row := c.appRow(v, app)
	row.Users = counts[app.ID]
	return row, nil
}

// app answers the app whose key is in the path; an unknown one is a problem.
func (c *console) app(v *visit) (*models.App, error) {
	app, err := c.Apps.ByKey(v.r.Context(), v.r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	if app == nil {
		return nil, c.notFound(v)
	}
	return app, nil
}
