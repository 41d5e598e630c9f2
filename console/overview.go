package console

import (
	"slices"
	"time"
	_ "time/tzdata" // readers may be in zones that the server's system does not know

	"rollcall/internal/figures"
	"rollcall/internal/vitals"
	"rollcall/models"
)

// overviewPage is the data of overview.html. The page polls its "now" part every few seconds and
// its charts every minute.
type overviewPage struct {
	App    appRow
	Banned int
	// OnlinePath, BannedPath and DeactivatedPath list the users that are counted.
	OnlinePath, BannedPath, DeactivatedPath string
	// Webhooks is nil if the app has no endpoints.
	Webhooks *webhookSummary
	Node     nodeRow
	Charts   []chart
}

// nodeRow describes the node that responds and its database.
type nodeRow struct {
	*vitals.Report
	// RoundTrip is in milliseconds, Memory in megabytes.
	RoundTrip string
	Memory    int
	// AllApps is true if the visitor may see the number of devices, which are those of all apps.
	AllApps bool
}

// chart is a time series with a graph for each of its figures. Its name begins the keys of its
// texts. The script draws the graphs from the table, which readers can open.
type chart struct {
	Name string
	// Points are in reverse order, the newest first.
	Points []figures.Point
	// Zone is the time zone in which days begin. The script uses it to format them.
	Zone string
	// Registrations is their sum, and PeakOnline the maximum.
	Registrations, PeakOnline int
}

// overviewPath returns the app's first page.
func overviewPath(app *models.App) string { return appPath(app) }

func (c *console) showOverview(v *visit) error {
	p, err := c.overview(v)
	if err != nil {
		return err
	}
	if p.Charts, err = c.charts(v, p.App.App); err != nil {
		return err
	}
	return c.show(v, "overview", p)
}

// pollOverview responds with the part of the page that changes within seconds.
func (c *console) pollOverview(v *visit) error {
	p, err := c.overview(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "overview", "now", p)
}

// pollCharts responds with the charts. Days are in the zone that the query names.
func (c *console) pollCharts(v *visit) error {
	app := v.app
	charts, err := c.charts(v, app)
	if err != nil {
		return err
	}
	return c.showPart(v, "overview", "charts", charts)
}

func (c *console) overview(v *visit) (*overviewPage, error) {
	app := v.app
	row, err := c.countedRow(v, app)
	if err != nil {
		return nil, err
	}
	banned, err := c.Users.BannedCount(v.r.Context(), app)
	if err != nil {
		return nil, err
	}
	hooks, err := c.webhookSummary(v, app)
	if err != nil {
		return nil, err
	}
	report, err := c.Node.Report(v.r.Context())
	if err != nil {
		return nil, err
	}
	return &overviewPage{
		App: row, Banned: banned, Webhooks: hooks,
		OnlinePath: usersPath(app) + "?show=online", BannedPath: bannedList.path(app), DeactivatedPath: deactivatedList.path(app),
		Node: nodeRow{Report: report, RoundTrip: milliseconds(report.RoundTrip), Memory: report.Memory >> 20, AllApps: v.operator.AllApps},
	}, nil
}

func (c *console) charts(v *visit, app *models.App) ([]chart, error) {
	zone := zoneOf(v.r.URL.Query().Get("zone"))
	days, err := c.Figures.LastDays(v.r.Context(), app.ID, figures.LongestSeries, zone)
	if err != nil {
		return nil, err
	}
	hour, err := c.Figures.LastHour(v.r.Context(), app.ID)
	if err != nil {
		return nil, err
	}
	return []chart{chartOf("days", days, zone), chartOf("hour", hour, zone)}, nil
}

func chartOf(name string, points []figures.Point, zone *time.Location) chart {
	c := chart{Name: name, Points: points, Zone: zone.String()}
	slices.Reverse(c.Points)
	for _, p := range c.Points {
		c.Registrations += p.Registrations
		c.PeakOnline = max(c.PeakOnline, p.PeakOnline)
	}
	return c
}

// Label formats the start of a point for readers without a script: a day of the zone, or a minute.
func (c chart) Label(p figures.Point) string {
	if c.Name == "days" {
		return p.BeginsAt.Time().In(zoneOf(c.Zone)).Format(time.DateOnly)
	}
	return p.BeginsAt.Time().Format("15:04") + " UTC"
}

// zoneOf returns the time zone with that name, or UTC if the name is invalid.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || zone == time.Local {
		return time.UTC
	}
	return zone
}

// milliseconds formats a short duration.
func milliseconds(d time.Duration) string {
	if d < 100*time.Microsecond {
		return "< 0.1"
	}
	return display(float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond))
}
