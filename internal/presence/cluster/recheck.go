package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

const (
	// A node checks in the database every recheckLeast to recheckMost whether its users may still
	// be connected, so that a revocation is in force within 5 s even if its message is lost.
	recheckLeast = 2 * time.Second
	recheckMost  = 2500 * time.Millisecond
	// recheckSpan is how far back recheck looks for revocations: their transactions commit some
	// time after their time stamps, which come from clocks that differ a little.
	recheckSpan = time.Minute
)

// recheckRegularly cuts, until closing ends, the devices here of users whose revocation or sign-out
// this node missed because its own connection to Redis, or that of the revoking node, is down.
func (s *Registry) recheckRegularly(closing context.Context) {
	warnings := outage.NewLog(s.Log)
	for {
		select {
		case <-time.After(recheckLeast + rand.N(recheckMost-recheckLeast)):
		case <-closing.Done():
			return
		}
		if err := s.recheck(closing); err != nil && closing.Err() == nil {
			warnings.Warn(closing, "looking for users that may no longer be connected failed; retrying", "error", err)
		}
	}
}

// recheck checks the accounts with devices here: of the buckets that Redis does not respond to all of
// them, and of the others those that the database returns as recently revoked.
func (s *Registry) recheck(ctx context.Context) error {
	var accounts, listening []*local
	for _, b := range s.buckets {
		if b.isListening() {
			listening = append(listening, b.accounts()...)
		} else {
			accounts = append(accounts, b.accounts()...)
		}
	}
	var failed error
	if len(listening) > 0 && s.RevokedSince != nil {
		named, complete, err := s.RevokedSince(ctx, s.Now().Add(-recheckSpan))
		if failed = err; err == nil {
			if complete {
				listening = among(listening, named)
			}
			accounts = append(accounts, listening...)
		}
	}
	for chunk := range slices.Chunk(accounts, loadChunk) {
		if err := s.recheckSome(ctx, chunk); err != nil {
			return err
		}
	}
	return failed
}

// isListening reports whether Redis responds, and sends its messages.
func (b *bucket) isListening() bool { return !b.lease.isSilent() && b.feed.Connected() }

// among returns the accounts that are named.
func among(accounts []*local, named []bus.RevokedUser) []*local {
	if len(named) == 0 {
		return nil
	}
	wanted := make(map[bus.RevokedUser]bool, len(named))
	for _, u := range named {
		wanted[u] = true
	}
	return slices.DeleteFunc(accounts, func(l *local) bool {
		return !wanted[bus.RevokedUser{AppID: l.account.AppID, ExternalID: l.account.ExternalID}]
	})
}

func (s *Registry) recheckSome(ctx context.Context, accounts []*local) error {
	rows, err := s.access(ctx, accounts)
	if err != nil {
		return err
	}
	for _, l := range accounts {
		if err := s.bucketOf(l.account.ID).enforce(ctx, l, rows[l.account.ID]); err != nil {
			s.Log.Warn("found a revocation in the database that cannot be written to Redis yet", "user", l.account.ID, "error", err)
		}
	}
	return nil
}

// enforce cuts the devices here that the account's row, nil if it is deleted, does not allow: all if the
// user may not be connected, or those from before the user was signed out. It closes them even if it
// returns an error because Redis is unreachable.
func (b *bucket) enforce(ctx context.Context, l *local, row *models.User) error {
	if cause, revoked := status.RevocationOf(row, b.Now()); revoked {
		_, err := b.cut(ctx, l.account, nil, cause.Reason.Leaves(), cause)
		return err
	}
	b.cutOlder(l.account, row.DeviceGeneration)
	return nil
}

// access returns the rows of accounts by users.id, with only the columns for the presence and for
// whether the user may be connected.
func (s *Registry) access(ctx context.Context, accounts []*local) (map[int64]*models.User, error) {
	ids := make([]int64, len(accounts))
	for i, l := range accounts {
		ids[i] = l.account.ID
	}
	rows, err := gorm.G[models.User](s.DB.Read(ctx)).
		Select("id", "banned_until", "deactivated_at", "device_generation", "presence", "presence_at").Where("id IN ?", ids).Find(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading whether %d users may be connected: %w", len(ids), err)
	}
	found := make(map[int64]*models.User, len(rows))
	for i := range rows {
		found[rows[i].ID] = &rows[i]
	}
	return found, nil
}
