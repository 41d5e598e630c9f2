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

// ItemResult is the result for one ID of a batch. Results have the order of the IDs.
type ItemResult struct {
	ID      string
	Outcome Outcome
	// Error explains why an item was REFUSED or NOT_FOUND. It is nil for other outcomes.
	Error *ItemError
}

// ItemError is an error of one item, with an error code of the API.
type ItemError struct {
	Code    string
	Message string
}
