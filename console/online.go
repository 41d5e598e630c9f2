package console

import (
	"context"

	"rollcall/internal/outage"
	"rollcall/models"
)

// While it is unknown which users are online, pages show the rest, so that an operator can still do
// what needs only the database.

// online is how many users of an app are online.
type online struct{ Users int }

// online returns how many users of the app are online, or nil if that is unknown.
func (c *console) online(v *visit, app *models.App) *online {
	n, known := askPresence(c, v, func(ctx context.Context) (int, error) { return c.Presence.OnlineCount(ctx, app.ID) })
	if !known {
		return nil
	}
	return &online{n}
}

// statuses returns the statuses of users whose rows were just read, with presenceUnknown if they are
// unknown. It asks for all statuses in one call, because each call may be a round trip to another
// server.
func (c *console) statuses(v *visit, users []*models.User) []models.UserStatus {
	statuses, known := askPresence(c, v, func(ctx context.Context) ([]models.UserStatus, error) { return c.Presence.StatusesOf(ctx, users) })
	if known {
		return statuses
	}
	statuses = make([]models.UserStatus, len(users))
	for i, u := range users {
		statuses[i] = models.UserStatus{UserID: u.ExternalID, Presence: presenceUnknown}
	}
	return statuses
}

// devices returns a user's devices. known is false if they are unknown.
func (c *console) devices(v *visit, u *models.User) (devices []models.Device, known bool) {
	return askPresence(c, v, func(ctx context.Context) ([]models.Device, error) { return c.Presence.Devices(ctx, u.ID) })
}

// askPresence returns what presence knows. known is false if Redis is known to be away, or if the question
// fails or takes longer than presenceTime.
func askPresence[T any](c *console, v *visit, question func(context.Context) (T, error)) (value T, known bool) {
	if c.redisAway() {
		return value, false
	}
	value, err := outage.Within(v.r.Context(), presenceTime, question)
	if err != nil {
		c.unknown(v, err)
	}
	return value, err == nil
}

// redisAway reports whether Redis is known to be away.
func (c *console) redisAway() bool {
	h := c.Health()
	return h.Redis != nil && h.Redis.Away
}

func (c *console) unknown(v *visit, err error) {
	c.Logger.ErrorContext(v.r.Context(), "the console cannot show who is online", "requestId", requestID(v.r), "route", v.r.Pattern, "error", err)
}
