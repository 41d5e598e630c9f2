package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/audit"
	"rollcall/models"
)

const (
	// auditPath is the page that lists the audit entries.
	auditPath = Root + "audit"
	// auditPerPage is the number of entries on a page.
	auditPerPage = 50
)

// auditPage is the data of audit.html.
type auditPage struct {
	// The filter.
	App, Actor, Action, Target, Text string
	// Zone is the time zone of the days, which is UTC if the browser has not named its own.
	Zone string
	// Since is since when the entries were searched for Text, or nil if all were.
	Since *models.Time
	// KeptDays is for how many days entries are kept, or 0 if they are never deleted.
	KeptDays int
	// From and Until are the first and the last day, both inclusive.
	From, Until string
	// Errors are what is wrong with "from" or "until": the day is malformed, or they are out of order.
	Errors faults
	// Apps and Actions are the choices.
	Apps    []*models.App
	Actions []string
	Entries []auditRow
	May     rights
	// Head is the text of the head of the chain. It is "" if no entry is chained, or if the visitor is
	// not for all apps: the chain is that of all.
	Head string
	pager
}

// FindActors and FindTargets return the paths that find the values of these fields by name.
func (p auditPage) FindActors() string { return p.withOperators(findActorsPath) }

// FindTargets is described at FindActors.
func (p auditPage) FindTargets() string {
	return p.withOperators(findUsersOfChosen + " " + findAppsPath)
}

// withOperators adds the path that finds operators, for visitors that may see them.
func (p auditPage) withOperators(paths string) string {
	if p.May.SeeAll() {
		return paths + " " + findOperatorsPath
	}
	return paths
}

// Filtered reports whether the page has a filter.
func (p auditPage) Filtered() bool {
	return p.App+p.Actor+p.Action+p.Target+p.Text+p.From+p.Until != ""
}

// FailedLoginsPath returns the page with the target in the place of the actor if the filter selects the
// failed logins of an actor, of which there are none: the actor is unknown, and the name that was
// entered is the target. It returns "" for other filters.
func (p auditPage) FailedLoginsPath() string {
	if p.Action != audit.ActionLoginFailed || p.Actor == "" {
		return ""
	}
	query := url.Values{}
	for _, f := range p.Filter() {
		query.Set(f.Name, f.Value)
	}
	query.Del("actor")
	query.Set("target", p.Actor)
	return auditPath + "?" + query.Encode()
}

// Days returns the day fields. It leaves out the value of a malformed day, because a date field in
// a browser cannot show it.
func (p auditPage) Days() []formField {
	days := []formField{{"from", p.From}, {"until", p.Until}}
	for i, d := range days {
		if p.Errors[d.Name].Key == wrongDay {
			days[i].Value = ""
		}
	}
	return days
}

// Filter returns the fields of the filter that are set.
func (p auditPage) Filter() []formField {
	all := []formField{{"app", p.App}, {"actor", p.Actor}, {"action", p.Action}, {"target", p.Target}, {"text", p.Text}, {"from", p.From}, {"until", p.Until}}
	return slices.DeleteFunc(all, func(f formField) bool { return f.Value == "" })
}

// Formats returns the formats of exports.
func (auditPage) Formats() []string { return exportFormats }

// Path returns the first page of the audit.
func (auditPage) Path() string { return auditPath }

// auditRow is an audit entry on a page.
type auditRow struct {
	*models.AuditEntry
	// AppName is "" if the entry concerns no app. AppDeleted is true if the app was deleted.
	AppName    string
	AppDeleted bool
	// TargetPath is the page of the entry's user or webhook endpoint, or "" if its target is neither.
	TargetPath string
	// EndpointName is the name of the entry's webhook endpoint. It is "" if the endpoint was deleted, and
	// for other entries.
	EndpointName string
	// CertificatePath is the certificate of the erasure of a user, or "" for other entries.
	CertificatePath string
	// GrantApps are the names of the apps that an operator's new role is for, or their keys if their
	// names are unknown. It is empty if the role is for all apps, and for other entries.
	GrantApps []string
}

func (c *console) showAudit(v *visit) error {
	shown, filter, err := c.auditFilter(v, v.r.URL.Query())
	if err != nil {
		return err
	}
	if len(shown.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "audit", shown)
	}
	request := pageBothWays(v, auditPerPage)
	found, err := c.Audit.List(v.r.Context(), filter, request)
	if err != nil {
		return err
	}
	since, err := c.Audit.SearchedSince(v.r.Context(), filter)
	if err != nil {
		return err
	}
	if since != 0 {
		shown.Since = &since
	}
	if shown.May.SeeAll() {
		head, err := c.Audit.Head(v.r.Context())
		if err != nil {
			return err
		}
		if head.Number > 0 {
			shown.Head = head.String()
		}
	}
	list, err := c.withDeleted(v, shown.Apps, found.Nodes())
	if err != nil {
		return err
	}
	shown.Entries = auditRows(list, found.Nodes())
	if err := c.nameEndpoints(v, list, shown.Entries); err != nil {
		return err
	}
	shown.pager = pagerBothWays(v, request, found.PageInfo())
	return c.show(v, "audit", shown)
}

// maxDeletedApps is how many deleted apps, the last, the audit can be filtered by.
const maxDeletedApps = 100

// auditFilter reads the filter from a query or a form, for the page and for the rule. It returns a
// problem if there is no such app or action. If a day is invalid, the page's Errors say so.
func (c *console) auditFilter(v *visit, values url.Values) (auditPage, audit.Filter, error) {
	list, err := c.appsOf(v)
	if err != nil {
		return auditPage{}, audit.Filter{}, err
	}
	shown := auditPage{
		App:      values.Get("app"),
		Actor:    searchText(values.Get("actor")),
		Action:   values.Get("action"),
		Target:   searchText(values.Get("target")),
		Text:     searchText(values.Get("text")),
		From:     searchText(values.Get("from")),
		Until:    searchText(values.Get("until")),
		Apps:     list,
		Actions:  audit.Actions(),
		May:      v.rights(),
		Zone:     zoneOf(c.zoneName(v)).String(),
		KeptDays: int(c.AuditRetention / (24 * time.Hour)),
	}
	actor, err := c.actorNamed(v, shown.Actor)
	if err != nil {
		return auditPage{}, audit.Filter{}, err
	}
	filter := audit.Filter{Actor: actor, Action: shown.Action, Target: shown.Target, Text: shown.Text}
	if !v.operator.AllApps {
		filter.Within = make([]int64, len(list))
		for i, app := range list {
			filter.Within[i] = app.ID
		}
	} else {
		deletions, err := c.Audit.LastAppDeletions(v.r.Context(), maxDeletedApps)
		if err != nil {
			return auditPage{}, audit.Filter{}, err
		}
		shown.Apps = appendDeleted(list, deletions)
	}
	if at := slices.IndexFunc(shown.Apps, func(a *models.App) bool { return a.Key == shown.App }); at >= 0 {
		filter.App = shown.Apps[at]
	}
	if shown.App != "" && filter.App == nil || shown.Action != "" && !slices.Contains(shown.Actions, shown.Action) {
		return shown, filter, c.notFound(v)
	}
	shown.Errors = shown.days(&filter)
	return shown, filter, nil
}

// actorNamed returns the name in the audit of an actor whose name was read from a page. An operator comes
// before the command or the first start with the same name in the reader's language; these are still
// found by their names in the audit.
func (c *console) actorNamed(v *visit, shown string) (string, error) {
	named := v.locale.actorNamed(shown)
	if named == shown {
		return shown, nil
	}
	list, err := c.Operators.List(v.r.Context())
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list, func(o *models.Operator) bool { return o.Name == shown }) {
		return shown, nil
	}
	return named, nil
}

// The texts that explain what is wrong with a day.
const (
	wrongDay   = "audit.day.wrong"
	wrongOrder = "audit.day.order"
)

// days parses the days into the filter, and returns what is wrong with them.
func (p auditPage) days(filter *audit.Filter) faults {
	wrong := faults{}
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
			wrong.set(bound.field, wrongDay)
			continue
		}
		*bound.at = models.TimeOf(startOfDay(day.AddDate(0, 0, bound.days), zoneOf(p.Zone)))
	}
	if filter.From != 0 && filter.Until != 0 && filter.From >= filter.Until {
		wrong.set("until", wrongOrder)
	}
	return wrong
}

// zoneCookie has the name of the reader's time zone. The script sets it; without one, days are in UTC.
const zoneCookie = "rollcall_zone"

// zoneName returns the name of the reader's time zone as the browser has sent it, or "".
func (c *console) zoneName(v *visit) string {
	cookie, err := v.r.Cookie(zoneCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// startOfDay returns when the day of a date begins in a zone. That need not be at midnight: a clock may
// skip midnight, and then the day begins when the clock was changed. A clock that is set back at
// midnight shows it twice; the day begins with the first.
func startOfDay(date time.Time, zone *time.Location) time.Time {
	year, month, day := date.Date()
	at := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if at.Day() != day || at.Hour() > 0 {
		begins, ends := at.ZoneBounds()
		if at.Day() == day {
			return begins
		}
		return ends
	}
	if earlier := at.Add(-time.Hour); earlier.Day() == day {
		return earlier
	}
	return at
}

// auditRows adds to each entry the name of its app and the path of its target.
func auditRows(list []*models.App, entries []*models.AuditEntry) []auditRow {
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		rows[i].AuditEntry = e
		rows[i].GrantApps = grantApps(list, e)
		for _, app := range list {
			if e.AppID == nil || app.ID != *e.AppID {
				continue
			}
			rows[i].AppName, rows[i].AppDeleted = app.Name, app.Deleting()
			if rows[i].AppDeleted {
				continue // its pages no longer exist
			}
			if audit.IsErasure(e) {
				rows[i].CertificatePath = certificatePath(app, e.ID)
			}
			if strings.HasPrefix(e.Action, "user.") {
				rows[i].TargetPath = userPath(app, e.Target)
			}
		}
	}
	return rows
}

// EndpointID returns the ID of the entry's webhook endpoint, or 0 for other entries.
func (r auditRow) EndpointID() int64 {
	if !strings.HasPrefix(r.Action, "webhook.") {
		return 0
	}
	id, _ := strconv.ParseInt(r.Target, 10, 64)
	return id
}

// nameEndpoints adds to the entries about webhook endpoints their names and pages, except of endpoints
// that were deleted, also with their app.
func (c *console) nameEndpoints(v *visit, list []*models.App, rows []auditRow) error {
	var ids []int64
	for _, r := range rows {
		if id := r.EndpointID(); id != 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	endpoints, err := c.Webhooks.Endpoints(v.r.Context(), ids)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		e := slices.IndexFunc(endpoints, func(e *models.WebhookEndpoint) bool { return e.ID == r.EndpointID() })
		if e < 0 {
			continue
		}
		app := slices.IndexFunc(list, func(app *models.App) bool { return app.ID == endpoints[e].AppID && !app.Deleting() })
		if app < 0 {
			continue
		}
		endpoint := c.endpointRow(v, list[app], endpoints[e])
		r.EndpointName, r.TargetPath = endpoint.Named(), endpoint.Path
	}
	return nil
}

// withDeleted returns the list of apps with those that entries are about and that were deleted, as far
// as the audit has their deletion.
func (c *console) withDeleted(v *visit, list []*models.App, entries []*models.AuditEntry) ([]*models.App, error) {
	known := func(is func(*models.App) bool) bool { return slices.ContainsFunc(list, is) }
	var ids []int64
	var keys []string
	for _, e := range entries {
		if e.AppID != nil && !known(func(app *models.App) bool { return app.ID == *e.AppID }) {
			ids = append(ids, *e.AppID)
		}
		for _, key := range grantKeys(e) {
			if !known(func(app *models.App) bool { return app.Key == key }) {
				keys = append(keys, key)
			}
		}
	}
	if len(ids)+len(keys) == 0 {
		return list, nil
	}
	deletions, err := c.Audit.AppDeletions(v.r.Context(), ids, keys)
	if err != nil {
		return nil, err
	}
	return appendDeleted(list, deletions), nil
}

// appendDeleted returns the list of apps with those of deletions, except those that still exist.
func appendDeleted(list []*models.App, deletions []*models.AuditEntry) []*models.App {
	all := slices.Clone(list)
	for _, e := range deletions {
		if slices.ContainsFunc(list, func(app *models.App) bool { return app.ID == *e.AppID }) {
			continue // it is being deleted
		}
		name := detailFields(e.Detail, "name", "environment")["name"]
		all = append(all, &models.App{ID: *e.AppID, Key: e.Target, Name: name, DeletingAt: e.At})
	}
	return all
}

// grantKeys returns the keys of the apps that an operator's new role is for, or nil for other entries.
func grantKeys(e *models.AuditEntry) []string {
	role, keys, found := strings.Cut(e.Detail, " apps=")
	if !found || !strings.HasPrefix(role, "role=") {
		return nil
	}
	return strings.Split(keys, ",")
}

// grantApps returns the value of auditRow.GrantApps.
func grantApps(list []*models.App, e *models.AuditEntry) []string {
	names := grantKeys(e)
	for i, key := range names {
		if at := slices.IndexFunc(list, func(app *models.App) bool { return app.Key == key }); at >= 0 {
			names[i] = list[at].Name
		}
	}
	return names
}

// auditOf returns the path of the audit of one user.
func auditOf(app *models.App, id string) string {
	return auditPath + "?" + url.Values{"app": {app.Key}, "target": {id}}.Encode()
}

// auditOfJob returns the path of the audit filtered by a job's operator and kind.
func auditOfJob(app *models.App, job *models.Job) string {
	action := audit.ActionUserDelete // of a job that clears the app
	for _, a := range bulkActions {
		if a.Kind == job.Kind {
			action = a.audited
		}
	}
	return auditPath + "?" + url.Values{"app": {app.Key}, "actor": {job.Actor}, "action": {action}}.Encode()
}

// Length returns how long a ban lasts, or nil if the entry is not a ban.
func (r auditRow) Length() *banLength {
	minutes := r.number("minutes")
	if minutes == 0 {
		return nil
	}
	return lengthOf(minutes)
}

// Devices returns the number of devices that a disconnect named. It returns 0 if the disconnect was
// of all devices, or if the entry is not a disconnect.
func (r auditRow) Devices() int { return r.number("devices") }

// Before returns the time before which tokens were ended, or nil if none were.
func (r auditRow) Before() *models.Time {
	text, _ := strings.CutPrefix(r.Detail, "before=")
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil
	}
	at := models.TimeOf(moment)
	return &at
}

// Sessions returns the number of sessions that the action ended.
func (r auditRow) Sessions() int { return r.number("sessions") }

// Role returns the role that an operator was given, or "" if none was.
func (r auditRow) Role() string {
	role, _, _ := strings.Cut(r.value("role"), " ")
	return role
}

// keyFacts are what an entry about an API key shows of it.
type keyFacts struct{ Prefix, Name string }

// APIKey returns the API key that the entry is about, or nil if it is another kind of entry.
func (r auditRow) APIKey() *keyFacts {
	if r.Action != audit.ActionKeyCreate && r.Action != audit.ActionKeyRevoke {
		return nil
	}
	prefix, name := audit.ReadKey(r.Detail)
	return &keyFacts{prefix, name}
}

// Login returns how an operator logged in, or nil if the entry is not a login.
func (r auditRow) Login() *loginFacts {
	if r.Action != audit.ActionLogin {
		return nil
	}
	method, name := audit.ReadLogin(r.Detail)
	return &loginFacts{Method: method, Client: clientNamed(name)}
}

// Failures returns the failed logins that the entry counts, or nil if it is another kind of entry.
func (r auditRow) Failures() *audit.LoginFailures {
	if r.Action != audit.ActionLoginFailed {
		return nil
	}
	failures := audit.ReadLoginFailures(r.Detail)
	return &failures
}

// number returns the number named name in the entry's detail, or 0 if there is none.
func (r auditRow) number(name string) int {
	n, _ := strconv.Atoi(r.value(name))
	return n
}

// value returns the value named name in the entry's detail, or "" if there is none.
func (r auditRow) value(name string) string {
	value, found := strings.CutPrefix(r.Detail, name+"=")
	if !found {
		return ""
	}
	return value
}
