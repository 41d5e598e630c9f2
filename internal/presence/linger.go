package presence

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/models"
)

// DefaultSubscriptionLinger is how long subscriptions outlive the account's last device, unless
// Options sets another duration.
const DefaultSubscriptionLinger = 400 * time.Second

const (
	// clearInterval is how often the hub looks for subscriptions whose linger is over.
	clearInterval = time.Second
	// lingererChunk is how many accounts one query looks up.
	lingererChunk = 500
)

// lingerers are the accounts that may have subscriptions but no device, and since when: since their
// last device left, or since they subscribed without one.
type lingerers struct {
	mu    sync.Mutex
	since map[int64]models.Time // by users.id
	// unknown reports whether the database may have lingerers that this process does not know.
	unknown atomic.Bool
}

// note records that the account was active at that time.
func (l *lingerers) note(userID int64, at models.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == nil {
		l.since = make(map[int64]models.Time)
	}
	l.since[userID] = max(l.since[userID], at)
}

// due returns the accounts that have not been active after that time, each with when it was.
func (l *lingerers) due(before models.Time) map[int64]models.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int64]models.Time)
	for id, at := range l.since {
		if at <= before {
			out[id] = at
		}
	}
	return out
}

// is reports whether since is when the account was last active.
func (l *lingerers) is(userID int64, since models.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.since[userID]
	return ok && at == since
}

// forget removes the account, unless it has been active again.
func (l *lingerers) forget(userID int64, since models.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since[userID] == since {
		delete(l.since, userID)
	}
}

// clearRegularly clears subscriptions until the hub closes. It begins with those that an earlier
// process has left.
func (h *Hub) clearRegularly() {
	ticker := time.NewTicker(clearInterval)
	defer ticker.Stop()
	for h.lingerers.unknown.Store(true); ; {
		var err error
		if h.lingerers.unknown.Swap(false) {
			err = h.findLingerers(h.closing)
		}
		if err == nil {
			err = h.clearSubscriptions(h.closing)
		} else {
			h.lingerers.unknown.Store(true)
		}
		if err != nil && h.closing.Err() == nil {
			h.log.Error("clearing subscriptions failed; retrying", "error", err)
		}
		select {
		case <-ticker.C:
		case <-h.closing.Done():
			return
		}
	}
}

// findLingerers notes the owners of all subscriptions in the database.
func (h *Hub) findLingerers(ctx context.Context) error {
	last := int64(0)
	for {
		var rows []struct {
			ID         int64
			Subscribed models.Time
			PresenceAt *models.Time
		}
		err := h.db.Read(ctx).Table("status_subscriptions s").
			Select("s.user_id AS id, MAX(s.subscribed_at) AS subscribed, MAX(users.presence_at) AS presence_at").
			Joins("JOIN users ON users.id = s.user_id").Where("s.user_id > ?", last).
			Group("s.user_id").Order("s.user_id").Limit(lingererChunk).Find(&rows).Error
		if err != nil {
			return err
		}
		for _, row := range rows {
			at := row.Subscribed
			if row.PresenceAt != nil {
				at = max(at, *row.PresenceAt)
			}
			h.lingerers.note(row.ID, at)
			last = row.ID
		}
		if len(rows) < lingererChunk {
			return nil
		}
	}
}

// clearSubscriptions deletes the subscriptions of accounts that have had no device for
// h.subscriptionLinger.
func (h *Hub) clearSubscriptions(ctx context.Context) error {
	due := h.lingerers.due(h.now().Add(-h.subscriptionLinger))
	ids := make([]int64, 0, min(len(due), lingererChunk))
	flush := func() error {
		var owners []int64
		err := h.db.Read(ctx).Model(&models.StatusSubscription{}).
			Where("user_id IN ?", ids).Distinct().Pluck("user_id", &owners).Error
		if err != nil {
			return err
		}
		for _, id := range owners {
			if err := h.clearOf(ctx, id, due[id]); err != nil {
				return err
			}
		}
		for _, id := range ids {
			h.lingerers.forget(id, due[id])
		}
		ids = ids[:0]
		return nil
	}
	for id := range due {
		if ids = append(ids, id); len(ids) == lingererChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return flush()
}

// clearOf deletes the subscriptions of an account that has not been active since that time.
func (h *Hub) clearOf(ctx context.Context, userID int64, since models.Time) error {
	done, err := h.turns.take(ctx, userID)
	if err != nil {
		return err
	}
	defer done()
	var failed error
	_, err = h.unsubscribe(ctx, userID, func(tx *gorm.DB) *gorm.DB {
		// A concurrent Subscribe notes the owner before it waits for the row that is locked here.
		if !h.lingerers.is(userID, since) {
			return nil
		}
		there, at, err := h.store.lastThere(ctx, tx, userID)
		if at > since {
			h.lingerers.note(userID, at)
		}
		if failed = err; err != nil || there || at > since {
			return nil
		}
		return tx
	})
	return errors.Join(err, failed)
}
