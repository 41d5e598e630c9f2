package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func eachLog(t *testing.T, test func(t *testing.T, l *Log)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) { test(t, New(db, time.Now)) })
}

func TestWrite_CutsToTheColumns(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		write := func(e models.AuditEntry) error {
			return db.Tx(ctx, func(tx *gorm.DB) error { return Write(tx, e) })
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
			t.Errorf("the values are not cut to the columns: %+v", e)
		}
		for _, bad := range []models.AuditEntry{{At: 1}, {Action: "test"}} {
			if write(bad) == nil {
				t.Errorf("%+v was written", bad)
			}
		}
	})
}

func TestRevokedSince(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		rules := New(db, time.Now)
		app, other := int64(1), int64(2)
		write := func(entries ...models.AuditEntry) {
			t.Helper()
			if err := db.Tx(ctx, func(tx *gorm.DB) error { return Write(tx, entries...) }); err != nil {
				t.Fatal(err)
			}
		}
		write(
			models.AuditEntry{AppID: &app, At: 9, Action: ActionUserBan, Target: "before"},
			models.AuditEntry{AppID: &app, At: 10, Action: ActionUserBan, Target: "banned"},
			models.AuditEntry{AppID: &other, At: 11, Action: ActionUserDeactivate, Target: "deactivated"},
			models.AuditEntry{AppID: &app, At: 12, Action: ActionUserDelete, Target: "deleted"},
			models.AuditEntry{AppID: &app, At: 12, Action: ActionUserSignOut, Target: "signed out"},
			models.AuditEntry{AppID: &app, At: 12, Action: ActionUserExpireTokens, Target: "expired"},
			models.AuditEntry{AppID: &app, At: 12, Action: ActionUserUnban, Target: "unbanned"},
			models.AuditEntry{At: 12, Action: ActionLogin},
		)
		users, complete, err := rules.RevokedSince(ctx, 10)
		if err != nil || !complete {
			t.Fatalf("complete %t, %v", complete, err)
		}
		slices.SortFunc(users, func(a, b bus.RevokedUser) int { return strings.Compare(a.ExternalID, b.ExternalID) })
		if want := []bus.RevokedUser{{AppID: app, ExternalID: "banned"}, {AppID: other, ExternalID: "deactivated"}, {AppID: app, ExternalID: "deleted"}, {AppID: app, ExternalID: "signed out"}}; !slices.Equal(users, want) {
			t.Errorf("got %v, want %v", users, want)
		}

		many := make([]models.AuditEntry, 1001)
		for i := range many {
			many[i] = models.AuditEntry{AppID: &app, At: 20, Action: ActionUserBan, Target: fmt.Sprint(i)}
		}
		write(many...)
		if _, complete, err := rules.RevokedSince(ctx, 20); err != nil || complete {
			t.Errorf("1001 users: complete %t, %v", complete, err)
		}
		if users, complete, err := rules.RevokedSince(ctx, 21); err != nil || !complete || len(users) != 0 {
			t.Errorf("no user: %v, complete %t, %v", users, complete, err)
		}
	})
}
