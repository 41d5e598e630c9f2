package relations

import (
	"context"

	"rollcall/internal/userlock"
	"rollcall/models"
)

// listTimes holds, for each lock of userlock.Locks, the latest time of an entry in its users'
// lists. Only the holder of the lock may use it.
type listTimes [userlock.Slots]models.Time

// heldUsers are the locks of the users whose relations change together.
type heldUsers struct {
	*userlock.Held
	times *listTimes
}

// acquire waits until no other change of these users' relations runs in this process. A change
// between two users acquires both, so the holder of a user's lock is the only one that changes
// relations between that user and others. Returns the errors of userlock.Locks.Acquire.
func (s *Service) acquire(ctx context.Context, app *models.App, ids []string) (*heldUsers, error) {
	held, err := s.locks.Acquire(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	return &heldUsers{Held: held, times: s.times}, nil
}

// moments returns the first of n times, a millisecond apart, that are later than the time of every
// entry of the users' lists. So the newest entry comes first even if many are added in one
// millisecond.
func (h *heldUsers) moments(at models.Time, n int) models.Time {
	for _, slot := range h.Slots {
		at = max(at, h.times[slot]+1)
	}
	for _, slot := range h.Slots {
		h.times[slot] = at + models.Time(n-1)
	}
	return at
}
