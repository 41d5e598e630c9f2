package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/once"
	"rollcall/models"
)

// DefaultLinger is how long subscriptions outlive the owner's last device, unless Options sets
// another duration.
const DefaultLinger = 400 * time.Second

const (
	// expiryInterval is how often a Service looks for lists that have expired, and whether the owners in
	// the database must be read. readPause is how long it waits after that has failed.
	expiryInterval = time.Second
	readPause      = 5 * time.Second
	// ownersPerQuery is how many owners one query looks up.
	ownersPerQuery = 500
)

// inactive are the users that may have subscriptions but no device, each with when it was last
// active: when its last device left, or when it subscribed without one.
//
// Of several nodes, each has those that became inactive there. What a node had that has left or died is
// read from the database, by one of the others.
type inactive struct {
	mu    sync.Mutex
	since map[int64]models.Time // by users.id
	// unread reports whether no node may have some owners in the database, and the others have not
	// been asked yet to read them.
	unread atomic.Bool
}

func (i *inactive) init() { i.since = make(map[int64]models.Time) }

// note records that the user was active at that time.
func (i *inactive) note(userID int64, at models.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.since[userID] = max(i.since[userID], at)
}

// expired returns the users that have not been active after that time, each with when it was.
func (i *inactive) expired(before models.Time) map[int64]models.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	expired := make(map[int64]models.Time)
	for id, at := range i.since {
		if at <= before {
			expired[id] = at
		}
	}
	return expired
}

// unchanged reports whether since is still when the user was last active.
func (i *inactive) unchanged(userID int64, since models.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	at, ok := i.since[userID]
	return ok && at == since
}

// forget removes the user, unless it has been active after since.
func (i *inactive) forget(userID int64, since models.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.since[userID] == since {
		delete(i.since, userID)
	}
}

// Start begins to delete the lists of owners that have had no device for the linger, those that an
// earlier process has left included. Presence must have started before.
func (s *Service) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopExpiry = cancel
	s.inactive.unread.Store(true)
	s.expiry.Go(func() { s.readRegularly(ctx) })
	s.expiry.Go(func() { s.expireRegularly(ctx) })
}

// Close ends what Start began, and returns when the database is no longer used for it. Without Start
// it does nothing.
func (s *Service) Close() {
	if s.stopExpiry != nil {
		s.stopExpiry()
	}
	s.expiry.Wait()
}

// expireRegularly deletes expired lists until ctx ends.
func (s *Service) expireRegularly(ctx context.Context) {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		if err := s.expire(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("deleting expired subscriptions failed; retrying", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// nodeGone asks for a node to read the owners that a node had noted which has left or died.
func (s *Service) nodeGone(ctx context.Context) {
	if err := s.owners.Want(ctx); err != nil {
		s.inactive.unread.Store(true) // readRegularly tries again
	}
}

// readRegularly reads the owners in the database, until ctx ends, whenever no node may have noted some of
// them and no other node reads them.
func (s *Service) readRegularly(ctx context.Context) {
	for {
		again, err := s.readWhenWanted(ctx)
		if err == nil && !again {
			return
		}
		pause := expiryInterval
		if err != nil && ctx.Err() == nil {
			s.log.Error("reading who has subscriptions failed; retrying", "error", err)
			pause = readPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// readWhenWanted reads the owners if that is wanted and no other node does it. It reports whether it may
// be wanted again.
func (s *Service) readWhenWanted(ctx context.Context) (again bool, err error) {
	if s.inactive.unread.Swap(false) {
		if err := s.owners.Want(ctx); err != nil {
			s.inactive.unread.Store(true)
			return s.shared, err
		}
	}
	if wanted, err := s.owners.Wanted(ctx); err != nil || !wanted {
		return s.shared, err
	}
	_, err = s.owners.Try(ctx, s.readOwners)
	return s.shared, err
}

// readOwners notes the owners of all lists in the database. It pauses after each page.
func (s *Service) readOwners(ctx context.Context) error {
	last := int64(0)
	for {
		began := time.Now()
		var rows []struct {
			ID         int64
			Subscribed models.Time
			PresenceAt *models.Time
		}
		err := s.db.Read(ctx).Table("status_subscriptions s").
			Select("s.user_id AS id, MAX(s.subscribed_at) AS subscribed, MAX(users.presence_at) AS presence_at").
			Joins("JOIN users ON users.id = s.user_id").Where("s.user_id > ?", last).
			Group("s.user_id").Order("s.user_id").Limit(ownersPerQuery).Find(&rows).Error
		if err != nil {
			return err
		}
		for _, row := range rows {
			s.inactive.note(row.ID, latest(&row.Subscribed, row.PresenceAt))
			last = row.ID
		}
		if len(rows) < ownersPerQuery {
			return nil
		}
		if err := once.Pause(ctx, began); err != nil {
			return err
		}
	}
}

// expire deletes the lists of users that have had no device for the linger.
func (s *Service) expire(ctx context.Context) error {
	expired := s.inactive.expired(s.now().Add(-s.linger))
	ids := make([]int64, 0, min(len(expired), ownersPerQuery))
	for id := range expired {
		if ids = append(ids, id); len(ids) < ownersPerQuery {
			continue
		}
		if err := s.expireSome(ctx, ids, expired); err != nil {
			return err
		}
		ids = ids[:0]
	}
	if len(ids) == 0 {
		return nil
	}
	return s.expireSome(ctx, ids, expired)
}

// expireSome deletes the lists of the users with these IDs, and forgets the users.
func (s *Service) expireSome(ctx context.Context, ids []int64, expired map[int64]models.Time) error {
	var owners []int64
	err := s.db.Read(ctx).Model(&models.StatusSubscription{}).
		Where("user_id IN ?", ids).Distinct().Pluck("user_id", &owners).Error
	if err != nil {
		return err
	}
	for _, id := range owners {
		if err := s.expireList(ctx, id, expired[id]); err != nil {
			return err
		}
	}
	for _, id := range ids {
		s.inactive.forget(id, expired[id])
	}
	return nil
}

// expireList deletes the list of an owner, unless it has a device or has been active after since.
func (s *Service) expireList(ctx context.Context, ownerID int64, since models.Time) error {
	release, err := s.locks.owner(ctx, ownerID)
	if err != nil {
		return err
	}
	defer release()
	var failed error
	_, err = s.remove(ctx, ownerID, func(tx *gorm.DB) *gorm.DB {
		// A concurrent Subscribe notes the owner before it waits for the row that is locked here.
		if !s.inactive.unchanged(ownerID, since) {
			return nil
		}
		connected, at, err := s.lastActive(ctx, tx, ownerID)
		if at > since {
			s.inactive.note(ownerID, at)
		}
		if failed = err; err != nil || connected || at > since {
			return nil
		}
		return tx
	})
	return errors.Join(err, failed)
}

// lastActive reports whether the owner has a device. If it has none, lastActive returns when the
// owner was last active on any node, or 0 if this is the only one, which has noted all that.
func (s *Service) lastActive(ctx context.Context, tx *gorm.DB, ownerID int64) (connected bool, at models.Time, err error) {
	connected, at, err = s.presence.LastConnected(ctx, ownerID)
	if err != nil || connected || !s.presence.Networked() {
		return connected, 0, err
	}
	var row struct{ Subscribed, PresenceAt *models.Time }
	err = tx.Raw("SELECT (SELECT MAX(subscribed_at) FROM status_subscriptions WHERE user_id = ?) AS subscribed,"+
		" (SELECT presence_at FROM users WHERE id = ?) AS presence_at", ownerID, ownerID).Scan(&row).Error
	if err != nil {
		return false, 0, fmt.Errorf("reading when user %d was last active: %w", ownerID, err)
	}
	return false, latest(&at, row.Subscribed, row.PresenceAt), nil
}

// latest returns the latest of the times that are not nil, or 0.
func latest(times ...*models.Time) (last models.Time) {
	for _, at := range times {
		if at != nil {
			last = max(last, *at)
		}
	}
	return last
}
