package cli

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestServe_DeletesOldAuditEntries checks that a server deletes entries older than
// ROLLCALL_AUDIT_RETENTION, by default a year, and that 0 keeps all.
func TestServe_DeletesOldAuditEntries(t *testing.T) {
	now := models.TimeOf(time.Now())
	for _, test := range []struct {
		args []string
		keep []string
	}{
		{[]string{"--audit-retention", "25h"}, []string{"now"}},
		{nil, []string{"day", "now"}},
		{[]string{"--audit-retention", "0"}, []string{"years", "day", "now"}},
	} {
		url := testenv.SQLiteURL(t)
		db := testenv.Open(t, url)
		err := db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Create([]models.AuditEntry{
				{At: now.Add(-3 * 365 * 24 * time.Hour), Action: "test", Target: "years"},
				{At: now.Add(-26 * time.Hour), Action: "test", Target: "day"},
				{At: now, Action: "test", Target: "now"},
			}).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, url, test.args...)
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if got := testTargets(t, db); strings.Join(got, " ") == strings.Join(test.keep, " ") {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("%q: %q are left, want %q", test.args, got, test.keep)
			}
		}
	}
}

func testTargets(t *testing.T, db *database.DB) (targets []string) {
	t.Helper()
	err := db.Read(t.Context()).Model(&models.AuditEntry{}).Where("action = ?", "test").Order("at").Pluck("target", &targets).Error
	if err != nil {
		t.Fatal(err)
	}
	return targets
}

func TestAuditRetention_RefusesShortTimes(t *testing.T) {
	for _, value := range []string{"1h", "23h59m", "-24h"} {
		status, _, stderr := run(t, "", "serve", "--database-url", testenv.SQLiteURL(t), "--audit-retention="+value)
		if status != 2 || !strings.Contains(stderr, "ROLLCALL_AUDIT_RETENTION must be 0, which keeps the audit for ever, or at least 24h") {
			t.Errorf("%s: status %d, %q", value, status, stderr)
		}
	}
}
