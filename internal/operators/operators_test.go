package operators

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// shell is the actor in tests.
var shell = models.Actor{Name: "shell", Address: "192.0.2.9"}

// tick is a clock that only advances when the test sets it.
type tick struct{ now time.Time }

func (c *tick) read() time.Time { return c.now }

func newOperators(db *database.DB) (*Service, *tick) {
	clock := &tick{now: epoch}
	return New(db, clock.read), clock
}

// of returns the grant of the role for all apps.
func of(role models.Role) models.Grant { return models.Grant{Role: role, AllApps: true} }

// mustCreate creates an operator whose password is "tidy harbour".
func mustCreate(t *testing.T, o *Service, name string, role models.Role) {
	t.Helper()
	if _, err := o.Create(context.Background(), name, of(role), "tidy harbour", shell); err != nil {
		t.Fatal(err)
	}
}

// audited returns "actor action target: detail" of each audit entry, oldest first.
func audited(t *testing.T, o *Service) []string {
	t.Helper()
	var entries []models.AuditEntry
	if err := o.db.Read(context.Background()).Order("id").Find(&entries).Error; err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, e.Actor+" "+e.Action+" "+e.Target+": "+e.Detail)
		if e.At == 0 || strings.Contains(e.Detail, "tidy harbour") {
			t.Errorf("audit entry %+v", e)
		}
	}
	return lines
}

func TestCreate(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		if found, err := o.Any(ctx); found || err != nil {
			t.Errorf("Any on an empty database = %v, %v", found, err)
		}
		password, err := o.Create(ctx, "ada", of(models.RoleAdmin), "", shell)
		if err != nil || CheckPassword(password) != nil {
			t.Fatalf("generated password %q, %v", password, err)
		}
		if given, err := o.Create(ctx, "Ada", of(models.RoleViewer), "tidy harbour", shell); err != nil || given != "tidy harbour" {
			t.Fatalf("a name that differs in case: %q, %v", given, err)
		}
		if found, err := o.Any(ctx); !found || err != nil {
			t.Errorf("Any = %v, %v", found, err)
		}
		list, err := o.List(ctx)
		if err != nil || len(list) != 2 || list[0].Name != "Ada" || list[1].Name != "ada" || list[1].Role != models.RoleAdmin {
			t.Errorf("List = %+v, %v", list, err)
		}
		want := []string{"shell operator.create ada: role=admin", "shell operator.create Ada: role=viewer"}
		if got := audited(t, o); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("audit:\n%s", strings.Join(got, "\n"))
		}

		for _, bad := range []struct {
			name, password string
			role           models.Role
			field, rule    string
		}{
			{"ada", "tidy harbour", models.RoleAdmin, "name", "unique"},
			{"", "tidy harbour", models.RoleAdmin, "name", "required"},
			{strings.Repeat("é", 65), "tidy harbour", models.RoleAdmin, "name", "max"},
			{"a\xff", "tidy harbour", models.RoleAdmin, "name", "utf8"},
			{"ada ", "tidy harbour", models.RoleAdmin, "name", "name"},
			{"\u3164", "tidy harbour", models.RoleAdmin, "name", "notblank"},
			{"a\x00b", "tidy harbour", models.RoleAdmin, "name", "nocontrol"},
			{"ad\u202ea", "tidy harbour", models.RoleAdmin, "name", "nobidi"},
			{"bob", "tidy harbour", "king", "role", "oneof"},
			{"bob", "short", models.RoleAdmin, "password", "min"},
		} {
			_, err := o.Create(ctx, bad.name, of(bad.role), bad.password, shell)
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Extensions["field"] != bad.field || refusal.Extensions["rule"] != bad.rule {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, err := o.Create(ctx, strings.Repeat("é", 64), of(models.RoleAdmin), "tidy harbour", shell); err != nil {
			t.Errorf("a name of 64 characters: %v", err)
		}
	})
}

func TestByName(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		for name, there := range map[string]bool{"ada": true, "ADA": false, "ada ": false, "": false, "a\xff": false, "bob": false} {
			operator, err := o.ByName(ctx, name)
			if err != nil || (operator != nil) != there {
				t.Errorf("ByName(%q) = %v, %v", name, operator, err)
			}
		}
	})
}

func TestSetPassword(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		mustCreate(t, o, "bob", models.RoleAdmin)
		own, _ := mustLogin(t, o, "ada")
		other, _ := mustLogin(t, o, "ada")
		bobs, _ := mustLogin(t, o, "bob")
		session, ada, err := o.ByToken(ctx, own)
		if err != nil {
			t.Fatal(err)
		}

		self := models.Actor{Name: "ada", Address: "192.0.2.1"}
		if _, err := o.SetPassword(ctx, "ada", "another password", self); ruleOf(err) != "own_password" {
			t.Errorf("one's own password without the current one: %v", err)
		}
		if _, err := o.ChangePassword(ctx, ada, session, "tidy harbour", "another password", self); err != nil {
			t.Fatal(err)
		}
		for token, want := range map[string]fault.Code{own: "", other: fault.Unauthenticated, bobs: ""} {
			if _, _, err := o.ByToken(ctx, token); fault.CodeOf(err) != want {
				t.Errorf("a session after the change: %v, want %q", err, want)
			}
		}
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1"}); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the old password: %v", err)
		}
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "another password", Address: "192.0.2.1"}); err != nil {
			t.Errorf("the new password: %v", err)
		}

		generated, err := o.SetPassword(ctx, "ada", "", shell)
		if err != nil || CheckPassword(generated) != nil {
			t.Errorf("generated %q, %v", generated, err)
		}
		if _, _, err := o.ByToken(ctx, own); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the session after SetPassword: %v", err)
		}
		for _, bad := range [][2]string{{"nobody", "tidy harbour"}, {"ada", "short"}} {
			if _, err := o.SetPassword(ctx, bad[0], bad[1], shell); fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("SetPassword%q: %v", bad, err)
			}
		}
	})
}
