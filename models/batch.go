package models

// Outcome is the result of one item of a batch.
type Outcome string

// The outcomes.
const (
	OutcomeDone Outcome = "DONE"
	// OutcomeAlready means that the item already had the requested state.
	OutcomeAlready  Outcome = "ALREADY"
	OutcomeNotFound Outcome = "NOT_FOUND"
	OutcomeRefused  Outcome = "REFUSED"
)
