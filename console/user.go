package console

import (
	"rollcall/models"
)

// userPage is what user.html and user_delete.html show.
type userPage struct {
	App     appRow
	User    userRow
	Devices []models.Device
	// MayDelete: the visitor may change things. Whether the app lets users be
	// deleted is the app's environment.
	MayDelete bool
}

func (c *console) showUser(v *visit) error {
	page, err := c.userPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "user", page)
}

// userPage reads the user whose app and ID are in the path; unknown ones are a
// problem.
func (c *console) userPage(v *visit) (*userPage, error) {
	app, err := c.app(v)
	if err != nil {
		return nil, err
	}
	u, err := c.Users.ByID(v.r.Context(), app.ID, v.userID())
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, c.notFound(v)
	}
	return &userPage{
		App:       c.appRow(app),
		User:      c.userRow(app, u),
		Devices:   c.Presence.Devices(u.ID),
		MayDelete: v.operator.Role == models.RoleAdmin,
	}, nil
}
