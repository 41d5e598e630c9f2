package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestAddLoginFailure_IsBounded checks that each account and network has an entry of its own until
// there are many, and a new one in each window.
func TestAddLoginFailure_IsBounded(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
		l := New(db, func() time.Time { return now })
		ada := &models.Operator{Name: "ada"}
		fail := func(operator *models.Operator, address string) {
			t.Helper()
			reason := ReasonUnknownName
			if operator != nil {
				reason = ReasonWrongPassword
			}
			if err := l.AddLoginFailure(ctx, FailedLogin{Operator: operator, Reason: reason, Address: address}); err != nil {
				t.Fatal(err)
			}
		}
		entriesNow := func() (list []string) {
			t.Helper()
			var entries []models.AuditEntry
			if err := db.Read(ctx).Where("action = ?", ActionLoginFailed).Order("id").Find(&entries).Error; err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				list = append(list, e.Target+" "+e.Address+" "+e.Detail)
			}
			return list
		}
		fail(ada, "192.0.2.1")
		now = now.Add(time.Second)
		for range 2 {
			fail(ada, "192.0.2.1")
			fail(nil, "2001:db8::1")
			fail(nil, "2001:db8::2")
		}
		want := []string{
			"ada 192.0.2.1 reason=wrong_password count=3 last=2026-11-20T08:00:01.000Z",
			" 2001:db8::/64 reason=unknown_name count=4 last=2026-11-20T08:00:01.000Z",
		}
		if got := entriesNow(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("entries:\n%s", strings.Join(got, "\n"))
		}
		for i := range 3 * FailureEntries {
			fail(nil, fmt.Sprintf("198.51.100.%d", i))
		}
		got := entriesNow()
		last := fmt.Sprintf("  reason=various count=%d last=2026-11-20T08:00:01.000Z", 2*FailureEntries+2)
		if len(got) != FailureEntries+1 || got[FailureEntries] != last {
			t.Errorf("%d entries, the last %q, want %q", len(got), got[len(got)-1], last)
		}
		fail(ada, "192.0.2.1")
		if got := entriesNow(); len(got) != FailureEntries+1 || !strings.Contains(got[0], "count=4") {
			t.Errorf("%d entries, the first %q", len(got), got[0])
		}
		now = now.Add(failureWindow)
		fail(ada, "192.0.2.1")
		if got := entriesNow(); len(got) != FailureEntries+2 || got[len(got)-1] != "ada 192.0.2.1 reason=wrong_password" {
			t.Errorf("in the next window: %q", got[len(got)-1])
		}
	})
}

func TestReadLoginFailures(t *testing.T) {
	for detail, want := range map[string]LoginFailures{
		"reason=wrong_password": {Reason: "wrong_password", Count: 1},
		"reason=unknown_name count=12 last=2026-11-20T08:00:00.000Z": {Reason: "unknown_name", Count: 12, Last: models.TimeOf(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))},
		"": {Count: 1},
	} {
		if got := ReadLoginFailures(detail); got != want {
			t.Errorf("%q: %+v, want %+v", detail, got, want)
		}
	}
}
