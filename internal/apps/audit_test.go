package apps

import (
	"context"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestWriteAudit(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		write := func(e models.AuditEntry) error {
			return db.Tx(ctx, func(tx *gorm.DB) error { return WriteAudit(tx, e) })
		}
		long := "\xff" + strings.Repeat("é", 2000)
		if err := write(models.AuditEntry{At: 1, Action: "test", Actor: long, Target: long, Detail: long, Address: long}); err != nil {
			t.Fatal(err)
		}
		var e models.AuditEntry
		if err := db.Read(ctx).Take(&e).Error; err != nil {
			t.Fatal(err)
		}
		cut := func(n int) string { return "\uFFFD" + strings.Repeat("é", n-1) }
		if e.Actor != cut(64) || e.Target != cut(128) || e.Detail != cut(1024) || e.Address != strings.Repeat("?", 64) {
			t.Errorf("not cut to the columns: %+v", e)
		}
		for _, bad := range []models.AuditEntry{{At: 1}, {Action: "test"}} {
			if write(bad) == nil {
				t.Errorf("%+v was written", bad)
			}
		}
	})
}
