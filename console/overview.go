package console

import (
	"slices"
	"time"
	_ "time/tzdata" // readers are in zones that the server's system may not know

	"rollcall/internal/figures"
	"rollcall/internal/vitals"
	"rollcall/models"
)

// overviewPage is what overview.html shows: the "now" of it asked again every few
// seconds, its charts every minute.
type overviewPage struct {
	App    appRow
	Banned int
	// OnlinePath, BannedPath and DeactivatedPath are where those counted are listed.
	OnlinePath, BannedPath, DeactivatedPath string
	Node                                    nodeRow
	Charts                                  []chart
}

// nodeRow is the node that answers and its database.
type nodeRow struct {
	*vitals.Report
	// RoundTrip is in milliseconds, Memory in megabytes.
	RoundTrip string
	Memory    int
}

// chart is a series with a graph for each of its figures; its name begins its
// texts. The table that a reader can open is what the script draws.
type chart struct {
	Name string
	// Points are the newest first.
	Points []figures.Point
	// Zone is in which days begin; its script formats them so.
	Zone string
	// Registrations are all of them, and PeakOnline is the highest.
	Registrations, PeakOnline int
}

// overviewPath is what an operator sees first of an app.
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

// pollOverview answers what changes from one moment to the next.
func (c *console) pollOverview(v *visit) error {
	p, err := c.overview(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "overview", "now", p)
}

// pollCharts answers the charts, with the days of the zone that the query names.
func (c *console) pollCharts(v *visit) error {
	app, err := c.app(v)
	if err != nil {
		return err
	}
	charts, err := c.charts(v, app)
	if err != nil {
		return err
	}
	return c.showPart(v, "overview", "charts", charts)
}

func (c *console) overview(v *visit) (*overviewPage, error) {
	app, err := c.app(v)
	if err != nil {
		return nil, err
	}
	row, err := c.countedRow(v, app)
	if err != nil {
		return nil, err
	}
	banned, err := c.Users.BannedCount(v.r.Context(), app)
	if err != nil {
		return nil, err
	}
	report, err := c.Node.Report(v.r.Context())
	if err != nil {
		return nil, err
	}
	return &overviewPage{
		App: row, Banned: banned,
		OnlinePath: usersPath(app) + "?show=online", BannedPath: bannedList.path(app), DeactivatedPath: deactivatedList.path(app),
		Node: nodeRow{Report: report, RoundTrip: milliseconds(report.RoundTrip), Memory: report.Memory >> 20},
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

// Label is when a point begins, for whoever has no script: a day of the zone, or a
// minute.
func (c chart) Label(p figures.Point) string {
	if c.Name == "days" {
		return p.BeginsAt.Time().In(zoneOf(c.Zone)).Format(time.DateOnly)
	}
	return p.BeginsAt.Time().Format("15:04") + " UTC"
}

// zoneOf answers the zone that a browser names, UTC for one that is none.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || zone == time.Local {
		return time.UTC
	}
	return zone
}

// milliseconds is a short time for people.
func milliseconds(d time.Duration) string {
	if d < 100*time.Microsecond {
		return "< 0.1"
	}
	return display(float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond))
}
