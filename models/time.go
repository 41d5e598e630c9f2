package models

import "time"

// Time is a time in milliseconds since 1970 in UTC. Columns store it as an integer, so every
// database stores, compares and indexes it alike and no session time zone can shift it.
type Time int64

// TimeOf truncates t to the millisecond, the precision of a column.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Time returns t as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add returns t+d, truncated to the millisecond.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// String returns t in RFC 3339 format, in UTC with exactly three decimals, as used in the API.
func (t Time) String() string { return string(t.Append(nil)) }

// Append appends the result of String to b. Package time is fast only for RFC 3339 without
// decimals; other layouts take twice as long.
func (t Time) Append(b []byte) []byte {
	at := t.Time()
	b = at.AppendFormat(b, time.RFC3339)
	ms := at.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}
