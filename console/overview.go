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
	StatisticsPath                          string
	// Webhooks is nil if the app has no endpoints.
	Webhooks *webhookSummary
	// Missing is nil unless nodes with devices were lost recently.
	Missing *missing
	Node    nodeRow
	Charts  []chart
}

// overviewDays is how many days the overview has.
const overviewDays = 30

// missing describes why the number of online users is uncertain.
type missing struct {
	// Devices is how many devices the lost nodes had, of all apps.
	Devices int
	// AllApps is true if the visitor may see that.
	AllApps bool
}

// nodeRow describes the parts of the service, and the node that responds.
type nodeRow struct {
	Parts []partRow
	*vitals.Report
	// Memory is in megabytes.
	Memory int
	// AllApps is true if the visitor may see the numbers of devices, which are those of all apps.
	AllApps bool
}

// partRow is a node, the database or Redis.
type partRow struct {
	// What is "node", "database" or "redis".
	What string
	// Name is that of a node, Version the release of a node or the product and version of a server.
	Name, Version string
	// Own is true for the node that responds.
	Own bool
	// State is a vitals.NodeState, or "AWAY".
	State       string
	Since, Seen models.Time
	Devices     int
	Trips       []tripRow
}

// tripRow is a round trip in milliseconds. To is "database" or "redis", or "" if it is that of the row.
// Ms is "" if it is unknown, as while the server is away.
type tripRow struct{ To, Ms string }

// partsOf returns the rows of the service.
func partsOf(h vitals.Health) []partRow {
	rows := []partRow{nodePart(h, h.Self)}
	rows[0].Own = true
	for _, node := range h.Others {
		rows = append(rows, nodePart(h, node))
	}
	rows = append(rows, serverPart("database", h.Database))
	if h.Redis != nil {
		rows = append(rows, serverPart("redis", *h.Redis))
	}
	return rows
}

func nodePart(h vitals.Health, p vitals.Peer) partRow {
	row := partRow{What: "node", Name: p.Name, Version: "Rollcall " + p.Version, State: string(p.State), Since: p.Since(), Seen: p.Seen, Devices: p.Devices}
	row.Trips = append(row.Trips, tripTo("database", p.Database))
	if h.Redis != nil {
		row.Trips = append(row.Trips, tripTo("redis", p.Redis))
	}
	return row
}

// tripTo returns the round trip of a node to a server, which is 0 if it is unknown.
func tripTo(what string, d time.Duration) tripRow {
	if d == 0 {
		return tripRow{To: what}
	}
	return tripRow{what, milliseconds(d)}
}

func serverPart(what string, s vitals.Server) partRow {
	row := partRow{What: what, Version: s.Product, State: string(vitals.Running), Since: s.Since, Seen: s.Seen}
	switch {
	case s.Away:
		row.State = "AWAY"
	case s.Since == 0:
		row.State = string(vitals.Unsure)
	default:
		row.Trips = []tripRow{{Ms: milliseconds(s.RoundTrip)}}
	}
	return row
}

// missingIn returns what the recently lost nodes make uncertain: nothing if none had devices.
func missingIn(v *visit, h vitals.Health) (m *missing) {
	for _, node := range h.Others {
		if node.Fresh && node.Devices > 0 {
			if m == nil {
				m = &missing{AllApps: v.operator.AllApps}
			}
			m.Devices += node.Devices
		}
	}
	return m
}

// chart is a time series with a graph for each of its figures. Its name begins the keys of its
// texts. The script draws the graphs from the table, which readers can open.
type chart struct {
	Name string
	Unit figures.Unit
	// Points are in reverse order, the newest first.
	Points []chartPoint
	// Zone is the time zone in which days begin. The script uses it to format them.
	Zone string
	// Registrations is their sum, and PeakOnline the maximum.
	Registrations, PeakOnline int
}

// chartPoint is a day or a minute.
type chartPoint struct {
	BeginsAt                  models.Time
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
	health := c.Health()
	return &overviewPage{
		App: row, Banned: banned, Webhooks: hooks, Missing: missingIn(v, health),
		OnlinePath: usersPath(app) + "?show=online", BannedPath: bannedList.path(app), DeactivatedPath: deactivatedList.path(app),
		StatisticsPath: statisticsPath(app),
		Node:           nodeRow{Parts: partsOf(health), Report: report, Memory: report.Memory >> 20, AllApps: v.operator.AllApps},
	}, nil
}

func (c *console) charts(v *visit, app *models.App) ([]chart, error) {
	zone := zoneOf(v.r.URL.Query().Get("zone"))
	days, _ := figures.DaysTo(c.Clock().In(zone), figures.Days, overviewDays)
	hour, _ := figures.LastMinutes(c.Clock(), 60)
	charts := []chart{{Name: "days", Unit: days.Unit, Zone: zone.String()}, {Name: "hour", Unit: hour.Unit, Zone: zone.String()}}
	for i, g := range []figures.Range{days, hour} {
		points, err := c.Figures.Read(v.r.Context(), app.ID, g)
		if err != nil {
			return nil, err
		}
		charts[i].fill(points)
	}
	return charts, nil
}

// fill sets the points and what they come to.
func (c *chart) fill(points []figures.Point) {
	for _, p := range slices.Backward(points) {
		point := chartPoint{p.BeginsAt, int(p.Values[figures.Registrations]), int(p.Values[figures.PeakOnline])}
		c.Points = append(c.Points, point)
		c.Registrations += point.Registrations
		c.PeakOnline = max(c.PeakOnline, point.PeakOnline)
	}
}

// Label formats the start of a point for readers without a script: a day of the zone, or a minute.
func (c chart) Label(p chartPoint) string {
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
