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
func (t Time) String() string { return string(t.Append(nil)) }

// Append appends what String answers to b. Package time has RFC 3339 without
// decimals at hand, and takes twice as long for any other form.
func (t Time) Append(b []byte) []byte {
	at := t.Time()
	b = at.AppendFormat(b, time.RFC3339)
	ms := at.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}
