package console

import (
	"rollcall/models"
)

// Pages show what they can while it cannot be told who is online, so that an
// operator can still do what the database alone decides.

// online is how many users of an app are online.
type online struct{ Users int }

// online answers how many users of the app are online; nil: that is not known.
func (c *console) online(v *visit, app *models.App) *online {
	n, err := c.Presence.OnlineCount(v.r.Context(), app.ID)
	if err != nil {
		c.unknown(v, err)
		return nil
	}
	return &online{n}
}

// status answers the status of a user whose row was just read, where nothing else
// is known the row's.
func (c *console) status(v *visit, u *models.User) models.UserStatus {
	status, err := c.Presence.StatusOf(v.r.Context(), u)
	if err != nil {
		c.unknown(v, err)
		return models.UserStatus{UserID: u.ExternalID, Presence: u.Presence, ChangedAt: u.PresenceAt}
	}
	return status
}

// devices answers a user's devices, none where that is not known.
func (c *console) devices(v *visit, u *models.User) []models.Device {
	devices, err := c.Presence.Devices(v.r.Context(), u.ID)
	if err != nil {
		c.unknown(v, err)
	}
	return devices
}

func (c *console) unknown(v *visit, err error) {
	c.Logger.ErrorContext(v.r.Context(), "the console cannot show who is online", "path", v.r.URL.Path, "error", err)
}
