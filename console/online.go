package console

import (
	"rollcall/models"
)

// While it is unknown which users are online, pages show the rest, so that an operator can still do
// what needs only the database.

// online is how many users of an app are online.
type online struct{ Users int }

// online returns how many users of the app are online, or nil if that is unknown.
func (c *console) online(v *visit, app *models.App) *online {
	n, err := c.Presence.OnlineCount(v.r.Context(), app.ID)
	if err != nil {
		c.unknown(v, err)
		return nil
	}
	return &online{n}
}

// statuses returns the statuses of users whose rows were just read. If they are unknown, it returns
// those in the rows. It asks for all statuses in one call, because each call may be a round trip to
// another server.
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

// devices returns a user's devices, or none if they are unknown.
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
