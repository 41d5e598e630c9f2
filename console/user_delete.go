package console

import (
	"net/http"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// errProduction is the console's text for what the rule refuses.
var errProduction = problem{http.StatusForbidden, "delete.production"}

// deleteUserPage is the data of user_delete.html.
type deleteUserPage struct {
	*userPage
	question
}

// askDeleteUser shows what will be deleted, with a button that does it.
func (c *console) askDeleteUser(v *visit) error {
	page, err := c.userPage(v)
	if err != nil {
		return err
	}
	if !page.App.Development() {
		return errProduction
	}
	ask := question{Path: v.r.URL.EscapedPath(), Back: page.User.Path, Fits: true, Danger: true}
	return c.show(v, "user_delete", deleteUserPage{page, ask})
}

func (c *console) deleteUser(v *visit) error {
	app := v.app
	id := v.userID()
	results, err := c.Users.Delete(v.r.Context(), app, []string{id}, c.actor(v))
	if fault.CodeOf(err) == fault.Forbidden {
		return errProduction
	}
	if err != nil {
		return err
	}
	text := "delete.refused"
	switch results[0].Outcome {
	case models.OutcomeDone:
		text = "delete.done"
	case models.OutcomeNotFound, models.OutcomeAlready:
		text = "delete.gone"
	}
	if err := c.putFlash(v, flash{Text: text, Subject: id, DevicesLater: text == "delete.done" && c.redisAway()}); err != nil {
		return err
	}
	return c.showErased(v, results[0], audit.ActionUserDelete, usersPath(app))
}
