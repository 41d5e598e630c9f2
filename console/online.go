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

// statuses answers the statuses of users whose rows were just read, where nothing
// else is known the rows'. All are asked for at once: they may be another server's
// to tell.
func (c *console) statuses(v *visit, users []*models.User) []models.UserStatus {
	statuses, err := c.Presence.StatusesOf(v.r.Context(), users)
	if err == nil {
		return statuses
	}
	c.unknown(v, err)
	statuses = make([]models.UserStatus, len(users))
	for i, u := range users {
		statuses[i] = models.UserStatus{UserID: u.ExternalID, Presence: u.Presence, ChangedAt: u.PresenceAt}
	}
	return statuses
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
	c.Logger.ErrorContext(v.r.Context(), "the console cannot show who is online", "requestId", requestID(v.r), "route", v.r.Pattern, "error", err)
}
