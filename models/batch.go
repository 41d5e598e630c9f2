package models

// Outcome is what became of one item of a batch.
type Outcome string

// The outcomes.
const (
	OutcomeDone Outcome = "DONE"
	// OutcomeAlready: the state asked for was there before.
	OutcomeAlready  Outcome = "ALREADY"
	OutcomeNotFound Outcome = "NOT_FOUND"
	OutcomeRefused  Outcome = "REFUSED"
)

// ItemResult is the answer for one ID of a batch, at the place it was asked.
type ItemResult struct {
	ID      string
	Outcome Outcome
	// Error says why an item was REFUSED or NOT_FOUND; else nil.
	Error *ItemError
}

// ItemError is an error that concerns one item, with a code of the API.
type ItemError struct {
	Code    string
	Message string
}
