package audit

import (
	"time"

	"rollcall/internal/retention"
)

// MinRetention is the shortest time for which entries may be kept. It is longer than an entry
// counts failed logins, and longer than RevokedSince looks back.
const MinRetention = 24 * time.Hour

// Expiring returns the rule that deletes the entries older than age. If age is 0, entries are kept
// forever. They are deleted in the order of the chain, so that the rest can be verified: an entry stays
// while an earlier one of the chain is not older than age.
func (l *Log) Expiring(age time.Duration) []retention.Rule {
	if age <= 0 {
		return nil
	}
	return []retention.Rule{
		{Rows: "old audit entries", Age: age, Delete: l.expire},
	}
}
