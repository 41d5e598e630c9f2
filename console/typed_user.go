package console

import (
	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// typedUser is what was found for the text of a field that takes a user's ID or name.
type typedUser struct {
	// Label is the key of the field's name, and Text is what was typed.
	Label, Text string
	// User is the only user found, or nil.
	User *userRow
	// ByName reports whether User was found by a search, because Text is no user's ID.
	ByName bool
	// Choices are the newest users found if there are several. More reports whether there are others.
	Choices []userChoice
	More    bool
}

// userChoice is one of several users found.
type userChoice struct {
	userRow
	// Choose is the path of the page with this user in the field.
	Choose string
}

// ID returns the ID of the user, or the text if it finds none or several.
func (t typedUser) ID() string {
	if t.User != nil {
		return t.User.ExternalID
	}
	return t.Text
}

// typedUser returns the user of the app whose ID the text is. If there is none, it searches as
// findUsers does, and returns the only hit, or the choices.
func (c *console) typedUser(v *visit, app *models.App, label, text string) (typedUser, error) {
	out := typedUser{Label: label, Text: text}
	if text == "" {
		return out, nil
	}
	u, err := c.Users.ByID(v.r.Context(), app.ID, text)
	if err != nil {
		return out, err
	}
	var found []*models.User
	if u != nil {
		found = []*models.User{u}
	} else {
		list, err := c.Users.List(v.r.Context(), app, users.Filter{Search: text}, page.Request{First: maxFound + 1})
		if err != nil {
			return out, err
		}
		found = list.Nodes()
	}
	rows := c.userRows(v, app, found)
	if len(rows) == 1 {
		out.User, out.ByName = &rows[0], u == nil
		return out, nil
	}
	out.More = len(rows) > maxFound
	for _, row := range rows[:min(len(rows), maxFound)] {
		out.Choices = append(out.Choices, userChoice{userRow: row})
	}
	return out, nil
}

// choose sets the paths of the choices.
func (t *typedUser) choose(path func(id string) string) {
	for i := range t.Choices {
		t.Choices[i].Choose = path(t.Choices[i].ExternalID)
	}
}
