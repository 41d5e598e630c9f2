package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"rollcall/internal/batch"
	"rollcall/internal/jobs"
	"rollcall/models"
)

// maxBulk is the maximum number of users that may be chosen at once; a page shows fewer.
const maxBulk = 100

// bulkPage is the data of bulk.html.
type bulkPage struct {
	App   appRow
	Users []userRow
	// Action is "ban", "unban" or "delete".
	Action string
	// BackPath is the list from which the users were chosen.
	BackPath string
	Form     banForm
}

// bulkPath begins the paths of the actions on several users.
func bulkPath(app *models.App) string { return appPath(app) + "/bulk" }

// askBulkBan shows the chosen users and asks how long and why to ban them.
func (c *console) askBulkBan(v *visit) error {
	p, err := c.bulkPage(v, "ban", v.r.URL.Query())
	if err != nil {
		return err
	}
	p.Form = newBan()
	return c.show(v, "bulk", p)
}

func (c *console) bulkBan(v *visit) error {
	form, sentence := readBan(v.r)
	p, err := c.bulkPage(v, "ban", v.r.PostForm)
	if err != nil {
		return err
	}
	if p.Form = form; len(form.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "bulk", p)
	}
	app, by := p.App.App, c.actor(v)
	return c.startBulk(v, p, models.JobBan, func(ctx context.Context, ids []string) ([]*batch.Result, error) {
		return c.Users.Ban(ctx, app, ids, sentence, by)
	})
}

// askBulkUnban shows the users whose bans will be lifted.
func (c *console) askBulkUnban(v *visit) error {
	p, err := c.bulkPage(v, "unban", v.r.URL.Query())
	if err != nil {
		return err
	}
	return c.show(v, "bulk", p)
}

func (c *console) bulkUnban(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	p, err := c.bulkPage(v, "unban", v.r.PostForm)
	if err != nil {
		return err
	}
	app, by := p.App.App, c.actor(v)
	return c.startBulk(v, p, models.JobUnban, func(ctx context.Context, ids []string) ([]*batch.Result, error) {
		return c.Users.Unban(ctx, app, ids, by)
	})
}

// askBulkDelete shows the users that will be deleted.
func (c *console) askBulkDelete(v *visit) error {
	p, err := c.bulkPage(v, "delete", v.r.URL.Query())
	if err != nil {
		return err
	}
	if !p.App.Development() {
		return errProduction
	}
	return c.show(v, "bulk", p)
}

func (c *console) bulkDelete(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	p, err := c.bulkPage(v, "delete", v.r.PostForm)
	if err != nil {
		return err
	}
	if !p.App.Development() {
		return errProduction
	}
	app, by := p.App.App, c.actor(v)
	return c.startBulk(v, p, models.JobDelete, func(ctx context.Context, ids []string) ([]*batch.Result, error) {
		return c.Users.Delete(ctx, app, ids, by)
	})
}

// startBulk starts a job for the chosen users and redirects to its page. If none of them exists any
// longer, it shows the question again.
func (c *console) startBulk(v *visit, p *bulkPage, kind models.JobKind, do func(context.Context, []string) ([]*batch.Result, error)) error {
	if len(p.Users) == 0 {
		return c.render(v, http.StatusUnprocessableEntity, "bulk", p)
	}
	return c.start(v, p.App.App, kind, len(p.Users), jobs.Each(p.ids(), do))
}

// bulkPage reads the chosen users and leaves out those that no longer exist.
func (c *console) bulkPage(v *visit, action string, values url.Values) (*bulkPage, error) {
	app := v.app
	ids := values["id"]
	if len(ids) > maxBulk {
		return nil, problem{http.StatusBadRequest, "error.invalid"}
	}
	found, err := c.Users.ByIDs(v.r.Context(), app.ID, ids)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(u *models.User) bool { return u == nil })
	p := &bulkPage{App: c.appRow(v, app), Action: action, BackPath: usersPath(app), Users: c.userRows(v, app, found)}
	if action == "unban" {
		p.BackPath = bannedList.path(app)
	}
	return p, nil
}

func (p *bulkPage) ids() []string {
	ids := make([]string, len(p.Users))
	for i, u := range p.Users {
		ids[i] = u.ExternalID
	}
	return ids
}
