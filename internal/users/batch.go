package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// change is one operation on many users. The batch is carried out item by item
// in the order asked, as if called one after the other, but on rows that are read
// and locked once and written once.
type change struct {
	// action and detail are what the audit says of each user that changed, and by
	// is who did it. An entry outlives the user, so detail holds lengths and codes,
	// never a text about somebody that an erasure would have to find.
	action, detail string
	by             models.Actor
	// prepare is called with the transaction before the first item; nil: nothing
	// to prepare. It is called again when the transaction is run again.
	prepare func(tx *gorm.DB) error
	// item does the operation to u, a user that exists, in memory: OutcomeDone
	// where it changed, OutcomeAlready where it was so before, or another outcome
	// and why not.
	item func(u *models.User) (models.Outcome, *fault.Error)
	// write writes those that changed, each once.
	write func(tx *gorm.DB, changed []*models.User) error
}

// batch carries out c on the app's users with these IDs, with an audit entry for
// each that changed, and answers each item at its place, and the rows of those
// that changed as they were before.
func (s *Service) batch(ctx context.Context, app *models.App, ids []string, c change) ([]*models.ItemResult, []*models.User, error) {
	var results []*models.ItemResult
	var before []*models.User
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		users, err := userlock.Lock(tx, app, ids)
		if err != nil {
			return err
		}
		if c.prepare != nil {
			if err := c.prepare(tx); err != nil {
				return err
			}
		}
		results, before = make([]*models.ItemResult, len(ids)), nil
		var changed []*models.User
		seen := make(map[int64]bool)
		for i, id := range ids {
			u := users[id]
			if u == nil {
				results[i] = answer(id, models.OutcomeNotFound, userlock.Unknown(id))
				continue
			}
			was := *u
			outcome, refusal := c.item(u)
			results[i] = answer(id, outcome, refusal)
			if outcome == models.OutcomeDone && !seen[u.ID] {
				seen[u.ID] = true
				changed, before = append(changed, u), append(before, &was)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		if err := c.write(tx, changed); err != nil {
			return err
		}
		entries := make([]models.AuditEntry, len(changed))
		for i, u := range changed {
			entries[i] = s.entry(app, c.by, c.action, u.ExternalID, c.detail)
		}
		return audit.Write(tx, entries...)
	})
	if err != nil {
		return nil, nil, err
	}
	return results, before, nil
}

// entry is what the audit says of one user.
func (s *Service) entry(app *models.App, by models.Actor, action, id, detail string) models.AuditEntry {
	return models.AuditEntry{
		AppID: &app.ID, At: s.now(), Actor: by.Name, Action: action, Target: id, Detail: detail, Address: by.Address,
	}
}

func answer(id string, outcome models.Outcome, refusal *fault.Error) *models.ItemResult {
	result := &models.ItemResult{ID: id, Outcome: outcome}
	if refusal != nil {
		result.Error = itemError(refusal)
	}
	return result
}

func itemError(err *fault.Error) *models.ItemError {
	return &models.ItemError{Code: string(err.Code), Message: err.Message}
}

// full returns the refusal of users that an app has no room for.
func full(e *headcount.FullError) *fault.Error {
	return fault.New(fault.UserLimitReached, "the app already has the maximum of %d users", e.Limit).With("limit", e.Limit)
}
