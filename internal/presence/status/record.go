package status

import "rollcall/models"

// Record is what a registry knows of an account's status.
type Record struct {
	ID, AppID  int64
	ExternalID string
	// Version grows with each change of any account in the bucket; 0: no change since the row was read.
	Version int64
	// Content is the version since which the record has had its content: lower than Version if a
	// node wrote the record again after Redis had lost it. Only records in Redis have it.
	Content int64
	State
	// Custom is the custom status. A user has one only while ONLINE.
	Custom string
	// CustomSince is when Custom was last set or cleared; 0: not since the login.
	CustomSince models.Time
}

// RecordOf returns the record of an account of which nothing newer than its row is known and that
// has no device.
func RecordOf(a Account) Record {
	return Record{ID: a.ID, AppID: a.AppID, ExternalID: a.ExternalID, State: a.State.Disconnected()}
}

// Status returns the record as the API shows it.
func (r *Record) Status() models.UserStatus {
	status := models.UserStatus{UserID: r.ExternalID, Presence: r.Presence, CustomStatus: r.Custom}
	if at := max(r.Since, r.CustomSince); at != 0 {
		status.ChangedAt = &at
	}
	return status
}

// After returns the moment, or the one after the record's latest if that is not earlier. A clock that
// was set back, or two changes in one millisecond, must not make an older status look newest.
func (r *Record) After(at models.Time) models.Time {
	return max(at, max(r.Since, r.CustomSince)+1)
}
