package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// operation is one operation on many users. Its result is as if the items were handled one after
// the other, in the order of the call. But the rows are read and locked once and written once.
type operation struct {
	// action and detail are the values for the audit entry of each changed user, and by is the
	// actor. Without an action, there are neither entries nor events. An entry outlives the user, so detail contains lengths and codes, never a text about a
	// user that would have to be erased.
	action, detail string
	// detailOf, if set, returns the detail of one user instead. It is called after write.
	detailOf func(u *models.User) string
	by       models.Actor
	// prepare, if set, is called with the transaction before the first item. It is called again if
	// the transaction is retried.
	prepare func(tx *gorm.DB) error
	// item performs the operation on u, an existing user, in memory, with all that write changes of
	// it. It returns OutcomeDone if u changed, OutcomeAlready if u needs no change, or another
	// outcome with its reason.
	item func(u *models.User) (models.Outcome, *fault.Error)
	// write writes the changed users, each once.
	write func(tx *gorm.DB, changed []*models.User) error
	// event returns the event of a changed user for App Servers.
	event func(u *models.User) outbox.Event
}

// batch performs op on the app's users with these IDs, with an audit entry for each that changed. It
// returns the result of each item, in the order of ids, and the rows of the changed users as they
// were before.
func (s *Service) batch(ctx context.Context, app *models.App, ids []string, op operation) ([]*batch.Result, []*models.User, error) {
	var results []*batch.Result
	var before []*models.User
	var recorded bool
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		users, err := userlock.Lock(tx, app, ids)
		if err != nil {
			return err
		}
		if op.prepare != nil {
			if err := op.prepare(tx); err != nil {
				return err
			}
		}
		results, before, recorded = make([]*batch.Result, len(ids)), nil, false
		var changed []*models.User
		seen := make(map[int64]bool)
		for i, id := range ids {
			u := users[id]
			if u == nil {
				results[i] = batch.Refused(id, nil, userlock.Unknown(id))
				continue
			}
			was := *u
			outcome, refusal := op.item(u)
			results[i] = &batch.Result{UserID: id, Outcome: outcome, User: u, Error: refusal}
			if outcome == models.OutcomeNotFound {
				results[i].User = nil
			}
			if outcome == models.OutcomeDone && !seen[u.ID] {
				seen[u.ID] = true
				changed, before = append(changed, u), append(before, &was)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		if err := op.write(tx, changed); err != nil {
			return err
		}
		if op.action == "" {
			return nil
		}
		entries := make([]models.AuditEntry, len(changed))
		for i, u := range changed {
			detail := op.detail
			if op.detailOf != nil {
				detail = op.detailOf(u)
			}
			entries[i] = s.entry(app, op.by, op.action, u.ExternalID, detail)
		}
		if err := audit.Write(tx, entries...); err != nil {
			return err
		}
		recorded, err = s.record(tx, app, changed, op.event)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	s.bus.PublishEventsRecorded(ctx, recorded)
	s.announce(ctx, userlock.Keys(before)...)
	return results, before, nil
}

// entry returns the audit entry of one user.
func (s *Service) entry(app *models.App, by models.Actor, action, id, detail string) models.AuditEntry {
	return models.AuditEntry{
		AppID: &app.ID, At: s.now(), Actor: by.Name, Action: action, Target: id, Detail: detail, Address: by.Address,
	}
}

// full returns the error for users that an app has no room for.
func full(e *headcount.FullError) *fault.Error {
	return fault.New(fault.UserLimitReached, "the app already has the maximum of %d users", e.Limit).With("limit", e.Limit)
}
