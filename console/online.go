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
	ctx, cancel, ok := c.asking(v)
	if !ok {
		return nil
	}
	defer cancel()
	n, err := c.Presence.OnlineCount(ctx, app.ID)
	if err != nil {
		c.unknown(v, err)
		return nil
	}
	return &online{n}
}

// statuses returns the statuses of users whose rows were just read, with presenceUnknown if they are
// unknown. It asks for all statuses in one call, because each call may be a round trip to another
// server.
func (c *console) statuses(v *visit, users []*models.User) []models.UserStatus {
	if ctx, cancel, ok := c.asking(v); ok {
		defer cancel()
		statuses, err := c.Presence.StatusesOf(ctx, users)
		if err == nil {
			return statuses
		}
		c.unknown(v, err)
	}
	statuses := make([]models.UserStatus, len(users))
	for i, u := range users {
		statuses[i] = models.UserStatus{UserID: u.ExternalID, Presence: presenceUnknown}
	}
	return statuses
}

// devices returns a user's devices. known is false if they are unknown.
func (c *console) devices(v *visit, u *models.User) (devices []models.Device, known bool) {
	ctx, cancel, ok := c.asking(v)
	if !ok {
		return nil, false
	}
	defer cancel()
	devices, err := c.Presence.Devices(ctx, u.ID)
	if err != nil {
		c.unknown(v, err)
	}
	return devices, err == nil
}

func (c *console) unknown(v *visit, err error) {
	c.Logger.ErrorContext(v.r.Context(), "the console cannot show who is online", "requestId", requestID(v.r), "route", v.r.Pattern, "error", err)
}
