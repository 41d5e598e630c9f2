package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

const (
	// auditPath is where the audit is.
	auditPath = Root + "audit"
	// auditPerPage is how many entries a page shows.
	auditPerPage = 50
)

// auditPage is what audit.html shows.
type auditPage struct {
	// What is asked for.
	App, Actor, Action, Target string
	// From and Until are days, both of them included.
	From, Until string
	// WrongField is the one of the two that is no day, or lies before the other, and
	// Wrong the text that says so.
	WrongField, Wrong string
	// Apps and Actions are the choices.
	Apps    []*models.App
	Actions []string
	Entries []auditRow
	First   bool
	Next    string
}

// Filtered says whether something is asked for.
func (p auditPage) Filtered() bool { return p.App+p.Actor+p.Action+p.Target+p.From+p.Until != "" }

// dayField is a day in the filter.
type dayField struct {
	Name, Value string
	// Wrong is the text that says what is wrong with it, "" where nothing is.
	Wrong string
}

// Days are the fields of the days. What is no day is not shown again: no browser
// holds it in a field for one.
func (p auditPage) Days() []dayField {
	days := []dayField{{Name: "from", Value: p.From}, {Name: "until", Value: p.Until}}
	for i := range days {
		d := &days[i]
		if d.Name == p.WrongField {
			d.Wrong = p.Wrong
		}
		if d.Wrong == wrongDay {
			d.Value = ""
		}
	}
	return days
}

// Path is where the audit begins.
func (auditPage) Path() string { return auditPath }

// auditRow is an entry as a page shows it.
type auditRow struct {
	*models.AuditEntry
	// AppName is "" for what concerns no app.
	AppName string
	// TargetPath leads to the user that it was done to, "" for what is no user.
	TargetPath string
}

func (c *console) showAudit(v *visit) error {
	list, err := c.Apps.List(v.r.Context())
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	shown := auditPage{
		App:     query.Get("app"),
		Actor:   searchText(query.Get("actor")),
		Action:  query.Get("action"),
		Target:  searchText(query.Get("target")),
		From:    searchText(query.Get("from")),
		Until:   searchText(query.Get("until")),
		Apps:    list,
		Actions: audit.Actions(),
		First:   query.Get("after") == "",
	}
	filter := audit.Filter{Actor: shown.Actor, Action: shown.Action, Target: shown.Target}
	if at := slices.IndexFunc(list, func(a *models.App) bool { return a.Key == shown.App }); at >= 0 {
		filter.App = list[at]
	}
	if shown.App != "" && filter.App == nil || shown.Action != "" && !slices.Contains(shown.Actions, shown.Action) {
		return c.notFound(v)
	}
	if shown.WrongField, shown.Wrong = shown.days(&filter); shown.Wrong != "" {
		return c.render(v, http.StatusUnprocessableEntity, "audit", shown)
	}
	found, err := c.Audit.List(v.r.Context(), filter, pageOf(v, auditPerPage))
	if err != nil {
		return err
	}
	shown.Entries = auditRows(list, found.Nodes())
	shown.Next = nextPage(v, found.PageInfo())
	return c.show(v, "audit", shown)
}

// The texts of what can be wrong with a day.
const (
	wrongDay   = "audit.day.wrong"
	wrongOrder = "audit.day.order"
)

// days reads the days into the filter, and answers the field of one that is wrong
// with the text that says why. They are days of UTC: without a script nobody knows the reader's zone.
func (p auditPage) days(filter *audit.Filter) (field, wrong string) {
	for _, bound := range []struct {
		field, text string
		at          *models.Time
		days        int
	}{{"from", p.From, &filter.From, 0}, {"until", p.Until, &filter.Until, 1}} {
		if bound.text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, bound.text)
		if err != nil {
			return bound.field, wrongDay
		}
		*bound.at = models.TimeOf(day.AddDate(0, 0, bound.days))
	}
	if filter.From != 0 && filter.Until != 0 && filter.From >= filter.Until {
		return "until", wrongOrder
	}
	return "", ""
}

// auditRows says of each entry which app it belongs to, and where its user is.
func auditRows(list []*models.App, entries []*models.AuditEntry) []auditRow {
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		rows[i].AuditEntry = e
		for _, app := range list {
			if e.AppID == nil || app.ID != *e.AppID {
				continue
			}
			rows[i].AppName = app.Name
			if strings.HasPrefix(e.Action, "user.") {
				rows[i].TargetPath = userPath(app, e.Target)
			}
		}
	}
	return rows
}

// auditOf is where the audit of one user is.
func auditOf(app *models.App, id string) string {
	return auditPath + "?" + url.Values{"app": {app.Key}, "target": {id}}.Encode()
}

// auditOfJob is where the audit has what a job's operator did of its kind.
func auditOfJob(app *models.App, job *models.Job) string {
	action := audit.ActionUserDelete
	switch job.Kind {
	case models.JobBan:
		action = audit.ActionUserBan
	case models.JobUnban:
		action = audit.ActionUserUnban
	}
	return auditPath + "?" + url.Values{"app": {app.Key}, "actor": {job.Actor}, "action": {action}}.Encode()
}

// Length is how long a ban lasts, nil for what is no ban.
func (r auditRow) Length() *banLength {
	minutes := r.number("minutes")
	if minutes == 0 {
		return nil
	}
	length := &banLength{minutes, "minutes", minutes}
	for _, unit := range banUnits {
		if minutes%unitMinutes[unit] == 0 {
			length.Unit, length.Amount = unit, minutes/unitMinutes[unit]
		}
	}
	return length
}

// Devices is how many devices a disconnect named; 0: all, or no disconnect.
func (r auditRow) Devices() int { return r.number("devices") }

// Before is the moment up to which tokens have ended, nil where none have.
func (r auditRow) Before() *models.Time {
	text, _ := strings.CutPrefix(r.Detail, "before=")
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil
	}
	at := models.TimeOf(moment)
	return &at
}

// Sessions is how many sessions ended with it.
func (r auditRow) Sessions() int { return r.number("sessions") }

// Role is the one that an operator was given, "" for what gives none.
func (r auditRow) Role() string { return r.value("role") }

// Failures are the failed logins that the entry counts, nil for an entry of something else.
func (r auditRow) Failures() *audit.LoginFailures {
	if r.Action != audit.ActionLoginFailed {
		return nil
	}
	failures := audit.ReadLoginFailures(r.Detail)
	return &failures
}

// number answers what the detail has for name, 0 where it has nothing.
func (r auditRow) number(name string) int {
	n, _ := strconv.Atoi(r.value(name))
	return n
}

// value answers the detail where it is name's, else "".
func (r auditRow) value(name string) string {
	value, found := strings.CutPrefix(r.Detail, name+"=")
	if !found {
		return ""
	}
	return value
}

// pageOf answers which page of a list the address asks for.
func pageOf(v *visit, size int) page.Request {
	r := page.Request{First: size}
	if after := v.r.URL.Query().Get("after"); after != "" {
		r.After = &after
	}
	return r
}

// nextPage answers where the next page of the list on this page is, "" on the
// last.
func nextPage(v *visit, info *page.Info) string {
	if !info.HasNextPage {
		return ""
	}
	query := v.r.URL.Query()
	query.Set("after", *info.EndCursor)
	return v.r.URL.EscapedPath() + "?" + query.Encode()
}
