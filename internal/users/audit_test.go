package users

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/models"
)

// audited returns "actor action target detail" of the audit entries for the app's users, oldest
// first.
func (w *world) audited() []string {
	w.t.Helper()
	var entries []models.AuditEntry
	if err := w.db.Read(context.Background()).Where("app_id = ? AND action LIKE 'user.%'", w.app.ID).Order("id").Find(&entries).Error; err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		if e.At != w.users.now() || e.Address != "192.0.2.1" {
			w.t.Errorf("entry %+v", e)
		}
		lines = append(lines, strings.Join([]string{e.Actor, e.Action, e.Target, e.Detail}, " "))
	}
	return lines
}

func TestChanges_AreAudited(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		by := models.Actor{Name: "op", Address: "192.0.2.1"}
		for _, id := range []string{"ann", "bob"} {
			w.register(w.app, id)
		}
		now := w.users.now()
		both, reason := []string{"ann", "bob", "nobody", "ann"}, "called Ann names"
		for _, do := range []func() error{
			func() error {
				_, err := w.users.Ban(ctx, w.app, both, Sentence{Length: time.Hour, Reason: &reason}, by)
				return err
			},
			func() error { _, err := w.users.Unban(ctx, w.app, both[:1], by); return err },
			func() error { _, err := w.users.Unban(ctx, w.app, both[:1], by); return err }, // ALREADY
			func() error { _, err := w.users.ExpireTokens(ctx, w.app, both[:1], now+1, by); return err },
			func() error { _, err := w.users.Deactivate(ctx, w.app, both[:1], by); return err },
			func() error {
				_, err := w.users.Ban(ctx, w.app, both[:1], Sentence{Length: time.Hour, Reason: &reason}, by)
				return err
			}, // REFUSED
			func() error { _, err := w.users.Reactivate(ctx, w.app, both[:1], by); return err },
			func() error { _, err := w.users.Delete(ctx, w.app, both, by); return err },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"op user.ban ann minutes=60", "op user.ban bob minutes=60", "op user.unban ann ",
			"op user.expire_tokens ann before=" + (now + 1).String(),
			"op user.deactivate ann " + audit.Erased{audit.ErasedProfile: 1, audit.ErasedBans: 1}.String(),
			"op user.reactivate ann ", "op user.delete ann " + audit.Erased{}.String(),
			"op user.delete bob " + audit.Erased{audit.ErasedProfile: 1, audit.ErasedBans: 1}.String(),
		}
		if got := w.audited(); !slices.Equal(got, want) {
			t.Errorf("audit\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestChanges_FailWithoutTheAudit checks that a change that cannot be audited is not made.
func TestChanges_FailWithoutTheAudit(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		ann := w.register(w.app, "ann")
		err := w.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Migrator().RenameTable("audit_entries", "elsewhere") })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.users.Ban(ctx, w.app, []string{"ann"}, Sentence{Length: time.Hour}, audit.AppServer); err == nil {
			t.Error("a ban without an audit entry returned no error")
		}
		if code := w.verify(ann.Token); code != "" {
			t.Errorf("the ban took effect: %s", code)
		}
	})
}
