// Package batch defines the results of operations on many users. Each ID of a call has a result, at
// its place.
package batch

import (
	"rollcall/internal/fault"
	"rollcall/models"
)

// Result is the result for one ID.
type Result struct {
	// UserID is the ID as given.
	UserID  string
	Outcome models.Outcome
	// User is the user after the operation, or nil if there is none.
	User *models.User
	// Error explains why an item was REFUSED or NOT_FOUND. It is nil for other outcomes.
	Error *fault.Error
}

// Done returns DONE for a user. The caller may still change u until the operation ends.
func Done(u *models.User) *Result {
	return &Result{UserID: u.ExternalID, Outcome: models.OutcomeDone, User: u}
}

// Already returns ALREADY for a user that had the requested state.
func Already(u *models.User) *Result {
	return &Result{UserID: u.ExternalID, Outcome: models.OutcomeAlready, User: u}
}

// Refused returns the result of an item that was not done: NOT_FOUND for USER_NOT_FOUND, else
// REFUSED. u is nil if there is no user with that ID, or if the refusal is not about a user.
func Refused(id string, u *models.User, refusal *fault.Error) *Result {
	outcome := models.OutcomeRefused
	if refusal.Code == fault.UserNotFound {
		outcome = models.OutcomeNotFound
	}
	return &Result{UserID: id, Outcome: outcome, User: u, Error: refusal}
}
