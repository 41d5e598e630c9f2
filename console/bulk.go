package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/jobs"
	"rollcall/internal/page"
	"rollcall/internal/presence/status"
	"rollcall/internal/users"
	"rollcall/models"
)

const (
	// maxBulk is the maximum number of users that may be chosen one by one, the largest page.
	maxBulk = 100
	// bulkSample is how many of the users that match a filter the question shows.
	bulkSample = 20
	// bulkPageSize is the number of users that a job reads at once.
	bulkPageSize = 1000
)

// bulkAction is what is done to chosen users, by a job. The kind of the job ends the action's path
// and begins the keys of its texts.
type bulkAction struct {
	Kind models.JobKind
	// Danger marks an action that cannot be undone. If it is for all users that match, their number
	// must be typed.
	Danger bool
	// main actions are shown first, the others in a menu.
	main bool
	// development actions are for DEVELOPMENT apps only.
	development bool
	// needs is the access of its routes.
	needs access
	// lists are the names of the lists that offer the action.
	lists []string
	// audited is the action in the audit.
	audited string
	// changes are the states of the users that the action may change, or nil for all states.
	changes []models.UserState
	do      func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error)
}

// bulkWork is what a bulk action needs besides the users.
type bulkWork struct {
	app      *models.App
	sentence users.Sentence // of a ban
	by       models.Actor
}

// registered are the states of users that are not deactivated.
var registered = []models.UserState{models.UserActive, models.UserBanned}

var (
	banMany = &bulkAction{
		Kind: models.JobBan, needs: moderators, main: true, lists: []string{usersList, "banned"}, audited: audit.ActionUserBan,
		changes: registered,
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			return c.Users.Ban(ctx, d.app, ids, d.sentence, d.by)
		},
	}
	unbanMany = &bulkAction{
		Kind: models.JobUnban, needs: moderators, main: true, lists: []string{usersList, "banned"}, audited: audit.ActionUserUnban,
		changes: []models.UserState{models.UserBanned},
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			return c.Users.Unban(ctx, d.app, ids, d.by)
		},
	}
	signOutMany = &bulkAction{
		Kind: models.JobSignOut, needs: moderators, main: true, lists: []string{usersList}, audited: audit.ActionUserSignOut,
		changes: registered,
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			results, err := c.Users.SignOut(ctx, d.app, ids, d.by)
			if err != nil {
				return nil, err
			}
			c.disconnectSignedOut(ctx, results...)
			return results, nil
		},
	}
	disconnectMany = &bulkAction{
		Kind: models.JobDisconnect, needs: moderators, lists: []string{usersList}, audited: audit.ActionUserDisconnect,
		do: (*console).disconnectMany,
	}
	expireMany = &bulkAction{
		Kind: models.JobExpireTokens, needs: moderators, lists: []string{usersList}, audited: audit.ActionUserExpireTokens,
		changes: registered,
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			return c.Users.ExpireTokens(ctx, d.app, ids, models.TimeOf(c.Clock())+1, d.by)
		},
	}
	deactivateMany = &bulkAction{
		Kind: models.JobDeactivate, needs: admins, Danger: true, lists: []string{usersList, "banned"}, audited: audit.ActionUserDeactivate,
		changes: registered,
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			return c.Users.Deactivate(ctx, d.app, ids, d.by)
		},
	}
	deleteMany = &bulkAction{
		Kind: models.JobDelete, needs: admins, Danger: true, main: true, development: true, lists: []string{usersList, "banned", "deactivated"},
		audited: audit.ActionUserDelete,
		do: func(c *console, ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
			return c.Users.Delete(ctx, d.app, ids, d.by)
		},
	}
	bulkActions = []*bulkAction{banMany, unbanMany, signOutMany, deleteMany, disconnectMany, expireMany, deactivateMany}
)

// fits reports whether the action may change a user in this state.
func (a *bulkAction) fits(state models.UserState) bool {
	return a.changes == nil || slices.Contains(a.changes, state)
}

// disconnectMany closes the connections of these users. Those without one stay out of the audit.
func (c *console) disconnectMany(ctx context.Context, d bulkWork, ids []string) ([]*batch.Result, error) {
	found, err := c.Users.ByIDs(ctx, d.app.ID, ids)
	if err != nil {
		return nil, err
	}
	results := make([]*batch.Result, len(ids))
	for i, u := range found {
		results[i] = &batch.Result{UserID: ids[i], User: u, Outcome: models.OutcomeAlready}
		if u == nil {
			continue
		}
		devices, err := c.Presence.Devices(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		if len(devices) == 0 {
			continue
		}
		n, err := c.Presence.Disconnect(ctx, status.AccountOf(u), nil, d.by)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			results[i].Outcome = models.OutcomeDone
		}
	}
	return results, nil
}

// bulkPage is the data of bulk.html.
type bulkPage struct {
	question
	App    appRow
	Action *bulkAction
	// Users are the chosen users, or the first of all that match.
	Users []userRow
	// All is true if all users are chosen that the filter of Search and Show selects. Count is their
	// number, or that of the chosen users.
	All          bool
	Search, Show string
	Count        int
	Form         banForm
	// Typed is the number typed to confirm.
	Typed  string
	Errors faults
}

// FromField returns the name of the field with the page of the list.
func (*bulkPage) FromField() string { return fromField }

// Ban reports whether the question asks for the length and the reason of a ban.
func (p *bulkPage) Ban() bool { return p.Action == banMany }

// Uncertain reports whether the users that are online are chosen, and which these are is unknown.
func (p *bulkPage) Uncertain() bool { return p.All && p.Show == showOnline && p.App.Online == nil }

// Counted reports whether the number of users must be typed.
func (p *bulkPage) Counted() bool { return p.All && p.Action.Danger }

// More returns how many users match besides those that are shown.
func (p *bulkPage) More() int { return max(0, p.Count-len(p.Users)) }

// bulkPath begins the paths of the actions on several users.
func bulkPath(app *models.App) string { return appPath(app) + "/bulk" }

// fromField is the field with the page of the list from which users are chosen.
const fromField = "from"

// askMany returns a handler that shows the chosen users and asks whether to act on them. If no user is
// chosen, it returns to the list, which says so.
func askMany(a *bulkAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		query := v.r.URL.Query()
		p, err := c.bulkPage(v, a, query)
		if err != nil {
			return err
		}
		if !p.All && !query.Has("id") {
			if err := c.setFlash(v, "bulk.nobody.next", ""); err != nil {
				return err
			}
			return v.redirect(p.Back)
		}
		p.Form = newBan(v.app)
		return c.show(v, "bulk", p)
	}
}

// actOnMany returns a handler that starts the job for the chosen users and redirects to its page. If
// none of them exists any longer or can be changed, it shows the question again, which says so.
func actOnMany(a *bulkAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.bulkPage(v, a, v.r.PostForm)
		if err != nil {
			return err
		}
		work := bulkWork{app: p.App.App, by: c.actor(v)}
		if p.Ban() {
			p.Form, work.sentence = readBan(v.r, v.app)
		}
		p.Typed = strings.TrimSpace(v.r.PostFormValue("count"))
		if p.Counted() && !sameNumber(p.Typed, p.Count) {
			p.Errors = faultOf("count", "bulk.count.wrong", "count", p.Count)
		}
		if !p.Fits || len(p.Form.Errors)+len(p.Errors) > 0 {
			return c.render(v, http.StatusUnprocessableEntity, "bulk", p)
		}
		do := func(ctx context.Context, ids []string) ([]*batch.Result, error) { return a.do(c, ctx, work, ids) }
		if !p.All {
			return c.start(v, work.app, a.Kind, p.Count, jobs.Each(p.ids(), do))
		}
		filter := showFilters[p.Show]
		filter.Search = p.Search
		return c.start(v, work.app, a.Kind, p.Count, c.eachMatching(work.app, filter, do))
	}
}

// eachMatching returns the work on all users that match, newest first. Users that are registered
// during the work are not among them.
func (c *console) eachMatching(app *models.App, filter users.Filter, do func(context.Context, []string) ([]*batch.Result, error)) jobs.Work {
	return func(ctx context.Context, progress jobs.Progress) error {
		for r := (page.Request{First: bulkPageSize}); ; {
			found, err := c.Users.List(ctx, app, filter, r)
			if err != nil {
				return err
			}
			ids := make([]string, len(found.Nodes()))
			for i, u := range found.Nodes() {
				ids[i] = u.ExternalID
			}
			if err := jobs.Each(ids, do)(ctx, progress); err != nil {
				return err
			}
			if !found.PageInfo().HasNextPage {
				return nil
			}
			r.After = found.PageInfo().EndCursor
		}
	}
}

// errTooMany is the problem of more users that are chosen one by one than a page of the list has.
var errTooMany = problem{http.StatusBadRequest, "bulk.too_many"}

// bulkPage reads the chosen users and leaves out those that no longer exist.
func (c *console) bulkPage(v *visit, a *bulkAction, values url.Values) (*bulkPage, error) {
	app := v.app
	if a.development && app.Environment != models.EnvironmentDevelopment {
		return nil, errProduction
	}
	p := &bulkPage{App: c.appRow(v, app), Action: a, All: values.Get("all") != ""}
	p.question = question{Path: bulkPath(app) + "/" + string(a.Kind), Back: usersPath(app), Danger: a.Danger || p.Ban()}
	if from := localPath(values.Get(fromField)); strings.HasPrefix(from, appPath(app)+"/") {
		p.Back = from
	}
	filter, known := filterOf(values)
	ids := values["id"]
	if !known {
		return nil, fault.Invalid("show", "oneof", "unknown filter")
	}
	if len(ids) > maxBulk {
		return nil, errTooMany
	}
	p.Search, p.Show = filter.Search, values.Get("show")
	var found []*models.User
	var err error
	if p.All {
		matching, err := c.Users.List(v.r.Context(), app, filter, page.Request{First: bulkSample})
		if err != nil {
			return nil, err
		}
		if p.Count, err = matching.TotalCount(v.r.Context()); err != nil {
			return nil, err
		}
		found = matching.Nodes()
	} else {
		if found, err = c.Users.ByIDs(v.r.Context(), app.ID, ids); err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(u *models.User) bool { return u == nil })
		p.Count = len(found)
	}
	p.Users = c.userRows(v, app, found)
	p.Fits = slices.ContainsFunc(p.Users, func(u userRow) bool { return a.fits(u.State) })
	if !p.Fits && p.More() > 0 {
		p.Fits, err = c.anyFits(v.r.Context(), app, a, filter)
	}
	return p, err
}

// anyFits reports whether the action may change any of the users that the filter selects.
func (c *console) anyFits(ctx context.Context, app *models.App, a *bulkAction, filter users.Filter) (bool, error) {
	if len(filter.States) > 0 {
		return slices.ContainsFunc(filter.States, a.fits), nil
	}
	filter.States = a.changes
	found, err := c.Users.List(ctx, app, filter, page.Request{First: 1})
	return err == nil && len(found.Nodes()) > 0, err
}

func (p *bulkPage) ids() []string {
	ids := make([]string, len(p.Users))
	for i, u := range p.Users {
		ids[i] = u.ExternalID
	}
	return ids
}
