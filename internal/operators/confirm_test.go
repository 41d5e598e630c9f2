package operators

import (
	"context"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestConfirm(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		by := models.Actor{Name: "ada", Address: "192.0.2.9"}
		token, operator := mustLogin(t, o, "ada")
		other, _ := mustLogin(t, o, "ada")
		confirmed := func(token string) bool {
			t.Helper()
			session, _, err := o.ByToken(ctx, token)
			if err != nil {
				t.Fatal(err)
			}
			return o.Confirmed(session)
		}
		session, _, err := o.ByToken(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		if o.Confirmed(session) {
			t.Error("a login counts as a confirmation")
		}
		if err := o.Confirm(ctx, operator, session, "a wrong one", by); fault.CodeOf(err) != fault.InvalidArgument || confirmed(token) {
			t.Errorf("a wrong password: %v, confirmed %v", err, confirmed(token))
		}
		if err := o.Confirm(ctx, operator, session, "tidy harbour", by); err != nil || !confirmed(token) {
			t.Errorf("the right password: %v, confirmed %v", err, confirmed(token))
		}
		if confirmed(other) {
			t.Error("another session of the operator is confirmed too")
		}
		clock.now = clock.now.Add(ConfirmationLifetime - time.Second)
		if !confirmed(token) {
			t.Error("the confirmation ended too early")
		}
		clock.now = clock.now.Add(time.Second)
		if confirmed(token) {
			t.Error("the confirmation does not end")
		}
	})
}

// TestConfirm_WrongPasswords checks that wrong passwords are audited and refused after five. Those
// of ChangePassword count too, and those of other sessions do not.
func TestConfirm_WrongPasswords(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		by := models.Actor{Name: "ada", Address: "192.0.2.9"}
		token, operator := mustLogin(t, o, "ada")
		session, _, err := o.ByToken(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := o.Confirm(ctx, operator, session, "a wrong one", by); fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatal(err)
			}
		}
		for range 2 {
			_, err := o.ChangePassword(ctx, operator, session, "a wrong one", "another tidy harbour", by)
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatal(err)
			}
		}
		if err := o.Confirm(ctx, operator, session, "tidy harbour", by); fault.CodeOf(err) != fault.RateLimited || o.Confirmed(session) {
			t.Errorf("after five wrong passwords: %v", err)
		}
		if _, err := o.ChangePassword(ctx, operator, session, "tidy harbour", "another tidy harbour", by); fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("ChangePassword after five wrong passwords: %v", err)
		}
		var audited []*models.AuditEntry
		err = db.Read(ctx).Where("action = ?", audit.ActionConfirmFailed).Find(&audited).Error
		if err != nil || len(audited) != 5 || audited[0].Actor != "ada" || audited[0].Target != "ada" || audited[0].Address != "192.0.2.9" || audited[0].Detail != "reason=wrong_password" {
			t.Errorf("audited %d, %v", len(audited), err)
		}
		// A new session is not affected, nor are logins.
		fresh, _ := mustLogin(t, o, "ada")
		second, _, err := o.ByToken(ctx, fresh)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Confirm(ctx, operator, second, "tidy harbour", by); err != nil {
			t.Errorf("another session: %v", err)
		}
		clock.now = clock.now.Add(2 * time.Second)
		if err := o.Confirm(ctx, operator, session, "tidy harbour", by); err != nil {
			t.Errorf("after the delay: %v", err)
		}
	})
}

func TestConfirm_EndedSession(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		token, operator := mustLogin(t, o, "ada")
		session, _, err := o.ByToken(ctx, token)
		if err == nil {
			err = db.Tx(ctx, func(tx *gorm.DB) error { return tx.Delete(session).Error })
		}
		if err != nil {
			t.Fatal(err)
		}
		err = o.Confirm(ctx, operator, session, "tidy harbour", models.Actor{Name: "ada"})
		if fault.CodeOf(err) != fault.Unauthenticated || o.Confirmed(session) {
			t.Errorf("an ended session: %v", err)
		}
	})
}
