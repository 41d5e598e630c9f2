package cluster

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// setStatus gives an ONLINE user a custom status, or clears it. It returns fault.NotOnline if the user
// is not ONLINE.
func (b *bucket) setStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error) {
	now := b.Now()
	r, err := b.ledger.SetStatus(ctx, acc.ID, text, now)
	switch {
	case err != nil:
		return models.UserStatus{}, b.failed(err)
	case r == nil:
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	b.observe(r.Version)
	if r.CustomSince >= now { // otherwise it had the text already
		status.Notify(b.Observer, r)
	}
	return r.Status(), nil
}
