package retention_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newEntries writes audit entries dated at, in the order of their keys.
func newEntries(t *testing.T, db *database.DB, at ...models.Time) {
	t.Helper()
	rows := make([]models.AuditEntry, len(at))
	for i := range rows {
		rows[i] = models.AuditEntry{At: at[i], Action: "x", Target: fmt.Sprint(at[i])}
	}
	if err := db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.CreateInBatches(rows, 500).Error }); err != nil {
		t.Fatal(err)
	}
}

func ages(t *testing.T, db *database.DB) (ages []models.Time) {
	t.Helper()
	if err := db.Read(t.Context()).Model(&models.AuditEntry{}).Order("at").Pluck("at", &ages).Error; err != nil {
		t.Fatal(err)
	}
	return ages
}

var entries = retention.Rule{Rows: "entries", Table: &models.AuditEntry{}, Key: "id", Column: "at", Age: time.Hour}

// TestSweep_DeletesWhatIsOld: all of it, more than a transaction's worth, to the millisecond.
func TestSweep_DeletesWhatIsOld(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		now := time.UnixMilli(1_790_000_000_000)
		end := models.TimeOf(now.Add(-time.Hour))
		var old []models.Time
		for i := range 1234 {
			old = append(old, end-models.Time(i))
		}
		newEntries(t, db, append(old, end+1, end+2)...)
		s := retention.New(db, func() time.Time { return now }, slog.Default(), entries)
		for _, want := range []int{1234, 0} {
			if n, err := s.Sweep(t.Context()); n != want || err != nil {
				t.Errorf("%d rows, %v, want %d", n, err, want)
			}
		}
		if got := ages(t, db); len(got) != 2 || got[0] != end+1 {
			t.Errorf("%d rows are left, from %v on", len(got), got[0])
		}
	})
}

// TestSweep_TogetherOnTwoNodes: neither fails, and each row is deleted once.
func TestSweep_TogetherOnTwoNodes(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		first, second := testenv.Open(t, url), testenv.Open(t, url)
		old := make([]models.Time, 2000)
		for i := range old {
			old[i] = models.Time(i + 1)
		}
		newEntries(t, first, old...)
		total := make(chan int)
		for _, db := range []*database.DB{first, second} {
			go func() {
				n, err := retention.New(db, time.Now, slog.Default(), entries).Sweep(context.Background())
				if err != nil {
					t.Error(err)
				}
				total <- n
			}()
		}
		if n := <-total + <-total; n != len(old) {
			t.Errorf("%d rows were deleted, want %d", n, len(old))
		}
		if got := ages(t, first); len(got) != 0 {
			t.Errorf("%d rows are left", len(got))
		}
	})
}

// TestSweep_FailureOfOneRule: the others are carried out, and the error names the rows.
func TestSweep_FailureOfOneRule(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		newEntries(t, db, 1)
		wrong := retention.Rule{Rows: "oddities", Table: &models.AuditEntry{}, Key: "id", Column: "oddity"}
		n, err := retention.New(db, time.Now, slog.Default(), wrong, entries).Sweep(t.Context())
		if n != 1 || err == nil || !strings.Contains(err.Error(), "oddities") || strings.Contains(err.Error(), "entries:") {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}
