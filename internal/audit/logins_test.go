package audit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestLogins_AreThoseOfTheOperator(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
		l := New(db, func() time.Time { return now })
		ada := &models.Operator{Name: "ada", CreatedAt: models.TimeOf(now)}
		entry := func(target, action, detail string, age time.Duration) models.AuditEntry {
			return models.AuditEntry{At: models.TimeOf(now.Add(age)), Actor: "ada", Action: action, Target: target, Detail: detail}
		}
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			return Write(tx,
				entry("ada", ActionLogin, LoginDetail(models.MethodPassword, ""), -time.Minute), // of another "ada"
				entry("bob", ActionLogin, LoginDetail(models.MethodPassword, ""), 0),
				entry("ada", ActionLogout, "", 0),
				entry("ada", ActionLogin, LoginDetail(models.MethodCode, "Firefox on Linux"), 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		for _, client := range []string{"Chrome on Windows", "curl"} {
			if err := l.AddLoginFailure(ctx, FailedLogin{Operator: ada, Reason: ReasonWrongCode, Address: "192.0.2.1", Client: client}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := l.Logins(ctx, ada, 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		if f := ReadLoginFailures(list[0].Detail); f.Reason != ReasonWrongCode || f.Count != 2 || f.Last != models.TimeOf(now) || f.Client != "curl" {
			t.Errorf("failures %+v of %q", f, list[0].Detail)
		}
		if method, client := ReadLogin(list[1].Detail); method != models.MethodCode || client != "Firefox on Linux" {
			t.Errorf("login %q, %q", method, client)
		}
		if list, err := l.Logins(ctx, ada, 1); err != nil || len(list) != 1 {
			t.Errorf("at most one: %d, %v", len(list), err)
		}
	})
}

// TestLogins_UseAnIndex checks that the list reads no more of a large audit than it returns.
func TestLogins_UseAnIndex(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		l := New(db, time.Now)
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			entries := make([]models.AuditEntry, 300)
			for i := range entries {
				entries[i] = models.AuditEntry{At: models.Time(i + 1), Action: ActionLogin, Target: fmt.Sprint("operator", i%10)}
			}
			return Write(tx, entries...)
		})
		if err != nil {
			t.Fatal(err)
		}
		statement := l.logins(ctx, &models.Operator{Name: "operator1"}, 10).Session(&gorm.Session{DryRun: true}).
			Find(&[]*models.AuditEntry{}).Statement
		plan := testenv.Explain(t, db, testenv.Statement{SQL: statement.SQL.String(), Vars: statement.Vars})
		if len(plan) != 1 || plan[0].Index != "audit_entries_app_target" || plan[0].Sorts || plan[0].Scans {
			t.Errorf("%s%s", statement.SQL.String(), plan)
		}
	})
}
