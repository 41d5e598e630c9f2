package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/jobs"
	"rollcall/models"
)

// clearPage is the data of clear.html.
type clearPage struct {
	question
	App appRow
	// Count is the number of users, which must be typed to confirm.
	Count int
	// Typed is what was typed as their number.
	Typed  string
	Errors faults
}

func clearPath(app *models.App) string { return appPath(app) + "/clear" }

// askClear shows how many users of a DEVELOPMENT app would be deleted.
func (c *console) askClear(v *visit) error {
	p, err := c.clearPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "clear", p)
}

// clear starts to delete all users of a DEVELOPMENT app. The form must contain their number as the
// page showed it, so that no user is deleted unnoticed.
func (c *console) clear(v *visit) error {
	p, err := c.clearPage(v)
	if err != nil {
		return err
	}
	p.Typed = strings.TrimSpace(v.r.PostFormValue("count"))
	if !sameNumber(p.Typed, p.Count) {
		p.Errors = faultOf("count", "bulk.count.wrong", "count", p.Count)
		return c.render(v, http.StatusUnprocessableEntity, "clear", p)
	}
	app, by := p.App.App, c.actor(v)
	return c.start(v, app, models.JobClear, p.Count, func(ctx context.Context, progress jobs.Progress) error {
		return c.Users.Clear(ctx, app, by, progress)
	})
}

// sameNumber reports whether the text is that number, with or without its commas.
func sameNumber(typed string, n int) bool {
	return strings.ReplaceAll(typed, ",", "") == strconv.Itoa(n)
}

func (c *console) clearPage(v *visit) (*clearPage, error) {
	app := v.app
	if app.Environment != models.EnvironmentDevelopment {
		return nil, errProduction
	}
	row, err := c.countedRow(v, app)
	if err != nil {
		return nil, err
	}
	count := row.Users.Registered + row.Users.Deactivated
	return &clearPage{
		question: question{Path: clearPath(app), Back: usersPath(app), Fits: count > 0, Danger: true},
		App:      row, Count: count,
	}, nil
}
