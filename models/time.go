package models

import "time"

// Time is a moment in milliseconds since 1970 in UTC. Columns hold it as an
// integer, so every database keeps, compares and indexes it alike and no
// session time zone can shift it.
type Time int64

// TimeOf cuts t to the millisecond that a column can hold.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Time answers the moment as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add answers the moment d later, cut to the millisecond.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// String is RFC 3339 in UTC with exactly three decimals, as the API writes it.
func (t Time) String() string { return t.Time().Format("2006-01-02T15:04:05.000Z") }
