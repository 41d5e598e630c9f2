package memory

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// SetStatus gives an ONLINE user a custom status, or clears it. It returns fault.NotOnline if the user
// is not ONLINE.
func (r *Registry) SetStatus(_ context.Context, acc status.Account, text string) (models.UserStatus, error) {
	s := r.shard(acc.ID)
	s.Lock()
	defer s.Unlock()
	e := s.entries[acc.ID]
	if e == nil || !e.online() {
		return models.UserStatus{}, fault.New(fault.NotOnline, "the user has no device connected")
	}
	if e.Custom != text {
		e.Custom, e.CustomSince = text, e.After(r.Now())
		s.publish(e)
	}
	return e.Status(), nil
}
