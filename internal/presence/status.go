package presence

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// StatusOf answers a user's status now. The row must have been read within the
// last minute: it tells what memory has forgotten.
func (h *Hub) StatusOf(u *models.User) models.UserStatus {
	s := h.shard(u.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status(AccountOf(u))
}

// SetStatus gives an ONLINE user a custom status, "": none, and answers the
// status. The text that is there already changes nothing. Errors: NOT_ONLINE.
func (h *Hub) SetStatus(acc Account, text string) (models.UserStatus, error) {
	s := h.shard(acc.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[acc.ID]
	if e == nil || !e.online() {
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	if e.custom.text != text {
		e.custom = custom{text: text, at: e.after(h.now())}
		s.announce(e)
	}
	return e.status(), nil
}

// Statuses answers the statuses of an app's users with these external IDs, in
// the order asked, nil where there is no such user. It asks the database once.
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
	found := make(map[string]*models.UserStatus, len(rows))
	for i := range rows {
		status := h.StatusOf(&rows[i])
		found[rows[i].ExternalID] = &status
	}
	for i, id := range ids {
		// By the exact ID: MySQL takes "ann " for "ann".
		statuses[i] = found[id]
	}
	return statuses, nil
}

// OnlineCount answers how many users of the app are ONLINE.
func (h *Hub) OnlineCount(appID int64) int { return int(h.online.of(appID).Load()) }

func (h *Hub) countOnline(appID int64, by int64) {
	h.online.of(appID).Add(by)
	h.metrics.onlineUsers.Add(float64(by))
}

// onlineCounts are the numbers of ONLINE users by app.
type onlineCounts struct {
	apps sync.Map // apps.id → *atomic.Int64
}

func (c *onlineCounts) of(appID int64) *atomic.Int64 {
	n, ok := c.apps.Load(appID)
	if !ok {
		n, _ = c.apps.LoadOrStore(appID, new(atomic.Int64))
	}
	return n.(*atomic.Int64)
}
