package cluster

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// SetStatus gives an ONLINE user a custom status, or clears it. It returns fault.NotOnline if the user
// is not ONLINE.
func (s *Registry) SetStatus(ctx context.Context, acc status.Account, text string) (models.UserStatus, error) {
	now := s.Now()
	r, err := s.ledger.SetStatus(ctx, acc.ID, text, now)
	switch {
	case err != nil:
		return models.UserStatus{}, s.failed(err)
	case r == nil:
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	s.observe(r.Version)
	if r.CustomSince >= now { // otherwise it had the text already
		status.Notify(s.Observer, r)
	}
	return r.Status(), nil
}
