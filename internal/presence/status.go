package presence

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/internal/validate"
	"rollcall/models"
)

// StatusOf returns a user's present status. The row must have been read within the last minute: it
// holds the status of a user that the registry has forgotten.
//
// Like every method that returns statuses, it first announces the read to the context's
// fanout.Reader, so that no newer event is sent before the response.
func (h *Hub) StatusOf(ctx context.Context, u *models.User) (models.UserStatus, error) {
	fanout.WillRead(ctx, u.ID)
	return h.registry.Status(ctx, status.AccountOf(u))
}

// StatusesOf is like StatusOf for several users, in their order, in one round trip for a page of them.
func (h *Hub) StatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error) {
	accs := make([]status.Account, len(users))
	for i, u := range users {
		accs[i] = status.AccountOf(u)
	}
	return h.statuses(ctx, accs)
}

// WatchedStatusesOf is StatusesOf for users that the caller has just begun to watch. It first waits
// until this node receives their changes, so that the statuses are not older than
// the first change that the watches receive.
func (h *Hub) WatchedStatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error) {
	keys := make([]int64, len(users))
	for i, u := range users {
		keys[i] = status.UserKey(u.ID)
	}
	if err := h.registry.Settle(ctx, keys...); err != nil {
		return nil, err
	}
	return h.StatusesOf(ctx, users)
}

// statuses returns the statuses of accounts in their order, for a response.
func (h *Hub) statuses(ctx context.Context, accs []status.Account) ([]models.UserStatus, error) {
	ids := make([]int64, len(accs))
	for i, acc := range accs {
		ids[i] = acc.ID
	}
	fanout.WillRead(ctx, ids...)
	return h.registry.Statuses(ctx, accs)
}

// SetStatus gives an ONLINE user a custom status, or clears it if text is "", and returns the status.
// Setting the text that it already has changes nothing. It returns fault.InvalidArgument for a text
// that is too long or has control characters, and fault.NotOnline if the user is not ONLINE, which
// custom_status.go in memory and cluster decides.
func (h *Hub) SetStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error) {
	if err := validate.Value("customStatus", text, "maxbytes=100,nocontrol"); err != nil {
		return models.UserStatus{}, err
	}
	fanout.WillRead(ctx, acc.ID)
	return h.registry.SetStatus(ctx, acc, text)
}

// Statuses returns the statuses of an app's users with these external IDs, in their order, nil for
// IDs without a user. It reads the database once.
func (h *Hub) Statuses(ctx context.Context, appID int64, ids []string) ([]*models.UserStatus, error) {
	statuses := make([]*models.UserStatus, len(ids))
	known := make([]string, 0, len(ids))
	for _, id := range ids {
		if database.IsASCII(id) {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return statuses, nil
	}
	rows, err := gorm.G[models.User](h.db.Read(ctx)).
		Select("id", "app_id", "external_id", "presence", "presence_at").
		Where("app_id = ? AND external_id IN ?", appID, known).Find(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the statuses of %d users: %w", len(known), err)
	}
	accs := make([]status.Account, len(rows))
	for i := range rows {
		accs[i] = status.AccountOf(&rows[i])
	}
	present, err := h.statuses(ctx, accs)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*models.UserStatus, len(rows))
	for i := range rows {
		found[rows[i].ExternalID] = &present[i]
	}
	for i, id := range ids {
		// By the exact ID: MySQL takes "ann " for "ann".
		statuses[i] = found[id]
	}
	return statuses, nil
}

// OnlineCount returns how many users of the app are ONLINE.
func (h *Hub) OnlineCount(ctx context.Context, appID int64) (int, error) {
	return h.registry.OnlineCount(ctx, appID)
}
