package console

import (
	"net/http"
	"strconv"

	"rollcall/internal/fault"
)

// errAppDeleting is shown in place of each page of an app that is being deleted.
var errAppDeleting = problem{http.StatusGone, "error.app_deleting"}

// deleteAppPage is the data of app_delete.html.
type deleteAppPage struct {
	appQuestion
	// Users is how many users the app has, deactivated ones included.
	Users int
	// Stale is true if that was another number when the form was loaded.
	Stale bool
	// Refused is the rule that forbids the deletion, or "".
	Refused string
}

func (c *console) deleteAppPage(v *visit) (*deleteAppPage, error) {
	p := &deleteAppPage{appQuestion: c.appQuestion(v, true, true)}
	err := c.Apps.CheckDeletion(v.r.Context(), v.app)
	if refusal, refused := fault.As(err); refused && refusal.Code == fault.Forbidden {
		p.Fits, err = false, nil
		p.Refused, _ = refusal.Extensions["rule"].(string)
	}
	if err != nil {
		return nil, err
	}
	counts, err := c.Apps.UserCounts(v.r.Context(), v.app)
	if err != nil {
		return nil, err
	}
	p.Users = counts[v.app.ID].Registered + counts[v.app.ID].Deactivated
	return p, nil
}

// askDeleteApp shows what is deleted with the app, or why it cannot be deleted.
func (c *console) askDeleteApp(v *visit) error {
	p, err := c.deleteAppPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "app_delete", p)
}

// deleteApp begins to delete the app, if its name was typed and it has as many users as the form has
// shown.
func (c *console) deleteApp(v *visit) error {
	p, err := c.deleteAppPage(v)
	if err != nil {
		return err
	}
	named := p.readName(v)
	p.Stale = v.r.PostFormValue("users") != strconv.Itoa(p.Users)
	switch {
	case !p.Fits || named && p.Stale:
		return c.render(v, http.StatusConflict, "app_delete", p)
	case !named:
		p.Stale = false
		return c.render(v, http.StatusUnprocessableEntity, "app_delete", p)
	}
	app, err := c.Apps.Delete(v.r.Context(), v.app.Key, p.Typed, c.actor(v))
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	if err := c.setFlash(v, "app.delete.done", app.Name); err != nil {
		return err
	}
	return v.redirect(Root)
}
