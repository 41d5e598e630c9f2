package console

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/figures"
	"rollcall/internal/relations"
	"rollcall/models"
)

// statisticsPage is the data of statistics.html. The page polls its values every minute, and at first
// in the reader's time zone.
type statisticsPage struct {
	App appRow
	// Path is the page without a range; NowPath and CSVPath are of this range.
	Path, NowPath, CSVPath string
	Range                  statisticsRange
	Ranges                 []rangeLink
	Cards                  []*statistic
	// Polled are the IDs of the elements that the page polls.
	Polled []string
}

// statisticsRange is the range that the query names.
type statisticsRange struct {
	figures.Range
	Before figures.Range
	Name   string
	// From and To are the first and the last day as typed, of a custom range.
	From, To string
	// Errors are what is wrong with them, as "dates". The page then shows the default range.
	Errors faults
	Zone   *time.Location
}

// rangeLink leads to a range.
type rangeLink struct {
	Name, Path string
	Current    bool
}

// statistic is a figure of the page, with its chart and its table.
type statistic struct {
	*statisticKind
	Name string
	// Value and Before sum the range and the one before it up. Change is the difference in percent, or
	// "" if there is none.
	Value, Before int
	Change        string
	// Empty is true if there is nothing to show yet; Compared is true if there are data of the range
	// before.
	Empty, Compared bool
	// Begins is the first day with data if the range ends before it, or "".
	Begins string
	// Rows are the points, the newest first.
	Rows    []statisticRow
	Unit    figures.Unit
	Zone    string
	Reasons []reasonRow
	CSVPath string
	// points are those of Rows, oldest first.
	points []figures.Point
}

// statisticRow is a point and the one of the range before.
type statisticRow struct {
	BeginsAt      models.Time
	Value, Before statisticValue
}

// statisticValue is a value, if it is known.
type statisticValue struct {
	N     int
	Known bool
}

// number returns the value for a file, or "".
func (n statisticValue) number() string {
	if !n.Known {
		return ""
	}
	return strconv.Itoa(n.N)
}

// reasonRow is how many messages were denied for a reason.
type reasonRow struct {
	Reason        relations.DenialReason
	Value, Before int
}

// statisticKind describes a figure of the page.
type statisticKind struct {
	name  string
	value func(*figures.Values) int64
	// since is the figure whose first value is the first of this one.
	since figures.Figure
	// Summary is how the points are summed up: total, peak, average or latest.
	Summary string
	// counted is true for what was counted at a time. 0 then means that it was not.
	counted bool
	// Bars is true if the chart has bars instead of a line.
	Bars bool
}

// statisticKinds are the figures in the order of the page. Their names begin the keys of their texts
// and are those of the columns of a CSV file.
var statisticKinds = []statisticKind{
	{name: "registrations", value: of(figures.Registrations), since: figures.Registrations, Summary: "total", Bars: true},
	{name: "peakOnline", value: of(figures.PeakOnline), since: figures.PeakOnline, Summary: "peak"},
	{name: "dailyActive", value: of(figures.DailyActive), since: figures.DailyActive, Summary: "average", counted: true},
	{name: "monthlyActive", value: of(figures.MonthlyActive), since: figures.MonthlyActive, Summary: "latest", counted: true},
	{name: "bans", value: of(figures.Bans), since: figures.Bans, Summary: "total", Bars: true},
	{name: "messages", value: (*figures.Values).Decided, since: figures.Allowed, Summary: "total", Bars: true},
	{name: "refused", value: (*figures.Values).Denied, since: figures.Allowed, Summary: "total", Bars: true},
}

func of(f figures.Figure) func(*figures.Values) int64 {
	return func(v *figures.Values) int64 { return v[f] }
}

// statisticRanges are the ranges to choose from, and defaultRange the one of a page without a range.
var statisticRanges = []string{"hour", "day", "week", "month", "year"}

const (
	defaultRange = "month"
	customRange  = "custom"
	// hourlyDays and dailyDays are how many days a custom range may have to be shown by hours and by
	// days.
	hourlyDays, dailyDays = 2, 31
)

// statisticsPath returns the page with the app's statistics.
func statisticsPath(app *models.App) string { return appPath(app) + "/statistics" }

func (c *console) showStatistics(v *visit) error {
	p, err := c.statistics(v)
	if err != nil {
		return err
	}
	return c.show(v, "statistics", p)
}

// pollStatistics responds with the values. Days are in the zone that the query names.
func (c *console) pollStatistics(v *visit) error {
	p, err := c.statistics(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "statistics", "statistics-now", p)
}

func (c *console) statistics(v *visit) (*statisticsPage, error) {
	g := c.rangeOf(v.r.URL.Query())
	cards, err := c.statisticCards(v, g)
	if err != nil {
		return nil, err
	}
	path, query := statisticsPath(v.app), g.query()
	p := &statisticsPage{
		App: c.appRow(v, v.app), Path: path, NowPath: path + "/now?" + query.Encode(), CSVPath: path + ".csv?" + g.zoned(query).Encode(),
		Range: g, Cards: cards, Polled: []string{"statistics-csv", "statistics-zone"},
	}
	for _, name := range statisticRanges {
		p.Ranges = append(p.Ranges, rangeLink{Name: name, Path: path + "?" + url.Values{"range": {name}}.Encode(), Current: name == g.Name})
	}
	for _, card := range cards {
		one := g.zoned(query)
		one.Set("figure", card.Name)
		card.CSVPath = path + ".csv?" + one.Encode()
		p.Polled = append(p.Polled, card.Name+"-summary", card.Name+"-rows", card.Name+"-csv")
		if card.Reasons != nil {
			p.Polled = append(p.Polled, card.Name+"-reasons")
		}
	}
	return p, nil
}

// rangeOf returns the range that a query names.
func (c *console) rangeOf(query url.Values) statisticsRange {
	g := statisticsRange{Name: query.Get("range"), Zone: zoneOf(query.Get("zone"))}
	now := c.Clock().In(g.Zone)
	switch g.Name {
	case "hour":
		g.Range, g.Before = figures.LastMinutes(now, 60)
	case "day":
		g.Range, g.Before = figures.LastHours(now, 24)
	case "week":
		g.Range, g.Before = figures.DaysTo(now, figures.Days, 7)
	case "year":
		g.Range, g.Before = figures.DaysTo(now, figures.Weeks, 52*7)
	case customRange:
		g.From, g.To = query.Get("from"), query.Get("to")
		wrong := g.custom(now)
		if wrong == "" {
			return g
		}
		g.Errors = faultOf("dates", wrong)
		fallthrough
	default:
		g.Name = defaultRange
		g.Range, g.Before = figures.DaysTo(now, figures.Days, 30)
	}
	return g
}

// custom sets the range from the two days, or returns the key of what is wrong with them.
func (g *statisticsRange) custom(now time.Time) (wrong string) {
	from, err := time.ParseInLocation(time.DateOnly, g.From, g.Zone)
	to, err2 := time.ParseInLocation(time.DateOnly, g.To, g.Zone)
	if err != nil || err2 != nil {
		return "statistics.wrong.date"
	}
	// The days are numbers of the calendar, so that one of 23 hours counts.
	days := int(utcDay(to).Sub(utcDay(from)).Hours())/24 + 1
	switch {
	case days < 1:
		return "statistics.wrong.order"
	case days > figures.LongestRange:
		return "statistics.wrong.length"
	case from.After(now):
		return "statistics.wrong.future"
	case days <= hourlyDays:
		g.Range, g.Before = figures.HoursOf(to, days)
	case days <= dailyDays:
		g.Range, g.Before = figures.DaysTo(to, figures.Days, days)
	default:
		g.Range, g.Before = figures.DaysTo(to, figures.Weeks, days)
	}
	return ""
}

// utcDay returns the day of t in UTC, where all days have 24 hours.
func utcDay(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// query returns the range as it is named in a query, without the zone.
func (g statisticsRange) query() url.Values {
	query := url.Values{"range": {g.Name}}
	if g.Name == customRange {
		query.Set("from", g.From)
		query.Set("to", g.To)
	}
	return query
}

// zoned returns a copy of a query with the zone of g.
func (g statisticsRange) zoned(query url.Values) url.Values {
	zoned := url.Values{"zone": {g.Zone.String()}}
	for name, values := range query {
		zoned[name] = values
	}
	return zoned
}

// statisticCards reads the figures of a range. A range of minutes has no figures that are counted by
// the hour.
func (c *console) statisticCards(v *visit, g statisticsRange) ([]*statistic, error) {
	points, err := c.Figures.Read(v.r.Context(), v.app.ID, g.Range)
	if err != nil {
		return nil, err
	}
	before, err := c.Figures.Read(v.r.Context(), v.app.ID, g.Before)
	if err != nil {
		return nil, err
	}
	since, err := c.Figures.Since(v.r.Context(), v.app)
	if err != nil {
		return nil, err
	}
	var cards []*statistic
	for i := range statisticKinds {
		kind := &statisticKinds[i]
		if kind.counted && g.Unit == figures.Minutes {
			continue
		}
		card := &statistic{
			statisticKind: kind, Name: kind.name, Unit: g.Unit, Zone: g.Zone.String(),
			Empty: since[kind.since] > g.End, Compared: since[kind.since] <= g.Before.Starts[0],
		}
		// Of registrations and bans, the text says that the app did not exist.
		counted := kind.since != figures.Registrations && kind.since != figures.Bans
		if begins := since[kind.since]; card.Empty && counted && begins <= models.TimeOf(c.Clock()) {
			card.Begins = begins.Time().Format(time.DateOnly)
		}
		card.fill(points, before, models.TimeOf(c.Clock()))
		if kind.name == "refused" {
			card.Reasons = reasonsOf(points, before)
		}
		cards = append(cards, card)
	}
	return cards, nil
}

// fill sets the rows and what they come to.
func (s *statistic) fill(points, before []figures.Point, now models.Time) {
	s.points = points
	for i, p := range slices.Backward(points) {
		row := statisticRow{BeginsAt: p.BeginsAt, Value: s.at(p, now)}
		if s.Compared {
			row.Before = s.at(before[i], now)
		}
		s.Rows = append(s.Rows, row)
	}
	s.Value = s.sum(points)
	if !s.Compared {
		return
	}
	s.Before = s.sum(before)
	if s.Before > 0 && s.Value != s.Before {
		s.Change = percent(float64(s.Value-s.Before) / float64(s.Before))
	}
}

// at returns the value of a point.
func (s *statistic) at(p figures.Point, now models.Time) statisticValue {
	n := s.value(&p.Values)
	return statisticValue{N: int(n), Known: p.BeginsAt <= now && (n > 0 || !s.counted)}
}

// sum sums points up.
func (s *statistic) sum(points []figures.Point) int {
	var sum, highest, latest, known int64
	for _, p := range points {
		n := s.value(&p.Values)
		sum, highest = sum+n, max(highest, n)
		if n > 0 {
			latest, known = n, known+1
		}
	}
	switch s.Summary {
	case "peak":
		sum = highest
	case "latest":
		sum = latest
	case "average":
		sum = int64(math.Round(float64(sum) / float64(max(known, 1))))
	}
	return int(sum)
}

// reasonsOf returns how many messages were denied for each reason.
func reasonsOf(points, before []figures.Point) []reasonRow {
	rows := make([]reasonRow, len(relations.DenialReasons))
	for i, reason := range relations.DenialReasons {
		rows[i].Reason = reason
		f := figures.ByReason(string(reason))
		for j := range points {
			rows[i].Value += int(points[j].Values[f])
			rows[i].Before += int(before[j].Values[f])
		}
	}
	return rows
}

// percent formats a change, as in "+12%".
func percent(change float64) string {
	n := int(math.Round(change * 100))
	if n >= 0 {
		return "+" + display(n) + "%"
	}
	return "\u2212" + display(-n) + "%"
}

// Label formats the start of a point for readers without a script: a day of the zone, or a time.
func (s *statistic) Label(at models.Time) string {
	if s.Unit == figures.Days || s.Unit == figures.Weeks {
		return at.Time().In(zoneOf(s.Zone)).Format(time.DateOnly)
	}
	return timeOf(at).UTC
}

// exportStatistics responds with the points of a range as CSV: of the figure that the query names, or
// of all. It is for viewers, because it contains numbers alone.
func (c *console) exportStatistics(v *visit) error {
	g := c.rangeOf(v.r.URL.Query())
	if wrong := g.Errors.Of("dates").Key; wrong != "" {
		return problem{http.StatusBadRequest, wrong}
	}
	cards, err := c.statisticCards(v, g)
	if err != nil {
		return err
	}
	if name := v.r.URL.Query().Get("figure"); name != "" {
		cards = slices.DeleteFunc(cards, func(s *statistic) bool { return s.Name != name })
	}
	if len(cards) == 0 {
		return c.notFound(v)
	}
	e := &export{name: c.exportName("statistics", v.app.Name), format: "csv", columns: []string{"beginsAt"}}
	rows := make([][]string, len(g.Starts))
	for i, at := range g.Starts {
		rows[i] = []string{at.String()}
	}
	for _, card := range cards {
		e.columns = append(e.columns, card.Name, card.Name+"Before")
		for _, r := range card.Reasons {
			e.columns = append(e.columns, string(r.Reason))
		}
		for i := range rows {
			row := card.Rows[len(rows)-1-i]
			rows[i] = append(rows[i], row.Value.number(), row.Before.number())
			for _, r := range card.Reasons {
				n := statisticValue{int(card.points[i].Values[figures.ByReason(string(r.Reason))]), row.Value.Known}
				rows[i] = append(rows[i], n.number())
			}
		}
	}
	return c.end(v, e, e.write(v, rows))
}
