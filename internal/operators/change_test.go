package operators

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// ruleOf returns the rule that a refusal names, or "" for another error or nil.
func ruleOf(err error) string {
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	rule, _ := refusal.Extensions["rule"].(string)
	return rule
}

func TestSetRole_RefusesUnknownSelfAndLastOwner(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleOwner)
		mustCreate(t, o, "vera", models.RoleViewer)
		ada := models.Actor{Name: "ada"}
		for name, c := range map[string]struct {
			operator string
			role     models.Role
			by       models.Actor
			rule     string
		}{
			"unknown":      {"nobody", models.RoleOwner, ada, "exists"},
			"another case": {"VERA", models.RoleOwner, ada, "exists"},
			"unknown role": {"vera", "god", ada, "oneof"},
			"oneself":      {"ada", models.RoleViewer, ada, "self"},
			"last owner":   {"ada", models.RoleViewer, shell, "last_owner"},
		} {
			if changed, err := o.SetRole(ctx, c.operator, of(c.role), c.by); changed || ruleOf(err) != c.rule {
				t.Errorf("%s: %v, %v", name, changed, err)
			}
		}
		token, _ := mustLogin(t, o, "vera")
		for i, want := range []bool{true, false} {
			if changed, err := o.SetRole(ctx, "vera", of(models.RoleOwner), ada); changed != want || err != nil {
				t.Errorf("call %d: %v, %v", i, changed, err)
			}
		}
		// The role is in force for the open session.
		if _, vera, err := o.ByToken(ctx, token); err != nil || vera.Role != models.RoleOwner {
			t.Errorf("%+v, %v", vera, err)
		}
		if changed, err := o.SetRole(ctx, "ada", of(models.RoleViewer), shell); !changed || err != nil {
			t.Errorf("one of two owners: %v, %v", changed, err)
		}
		want := []string{"ada operator.set_role vera: role=owner", "shell operator.set_role ada: role=viewer"}
		got := slices.DeleteFunc(audited(t, o), func(line string) bool { return !strings.Contains(line, "set_role") })
		if !slices.Equal(got, want) {
			t.Errorf("audit %q", got)
		}
	})
}

func TestDelete_EndsSessionsAndLogins(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleOwner)
		mustCreate(t, o, "vera", models.RoleViewer)
		ada := models.Actor{Name: "ada"}
		if err := o.Delete(ctx, "nobody", ada); ruleOf(err) != "exists" {
			t.Errorf("unknown: %v", err)
		}
		if err := o.Delete(ctx, "ada", ada); ruleOf(err) != "self" {
			t.Errorf("oneself: %v", err)
		}
		if err := o.Delete(ctx, "ada", shell); ruleOf(err) != "last_owner" {
			t.Errorf("the last owner: %v", err)
		}
		token, _ := mustLogin(t, o, "vera")
		if err := o.Delete(ctx, "vera", ada); err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.ByToken(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the session is still valid: %v", err)
		}
		if _, err := o.Login(ctx, LoginRequest{Name: "vera", Password: "tidy harbour"}); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the login still works: %v", err)
		}
		// The name is free again, and its next owner does not get the old session.
		mustCreate(t, o, "vera", models.RoleOwner)
		if _, _, err := o.ByToken(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("the session is valid again: %v", err)
		}
		if got := audited(t, o); !slices.Contains(got, "ada operator.delete vera: sessions=1") {
			t.Errorf("audit %q", got)
		}
	})
}

// TestOneOwnerStays checks that one owner stays, however many owners remove each other
// concurrently.
func TestOneOwnerStays(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		names := []string{"a", "b", "c", "d", "e", "f"}
		for _, name := range names {
			mustCreate(t, o, name, models.RoleOwner)
		}
		var wg sync.WaitGroup
		for i, name := range names {
			victim := names[(i+1)%len(names)]
			wg.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = o.SetRole(ctx, victim, of(models.RoleViewer), models.Actor{Name: name})
				} else {
					err = o.Delete(ctx, victim, models.Actor{Name: name})
				}
				if err != nil && ruleOf(err) != "last_owner" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list, err := o.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		owners := 0
		for _, operator := range list {
			if operator.Role == models.RoleOwner {
				owners++
			}
		}
		if owners != 1 {
			t.Errorf("%d owners are left", owners)
		}
	})
}

func TestEndSessions(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleOwner)
		mustCreate(t, o, "vera", models.RoleViewer)
		for _, name := range []string{"ada", "vera", "vera", "vera"} {
			if _, err := o.Login(ctx, LoginRequest{Name: name, Password: "tidy harbour"}); err != nil {
				t.Fatal(err)
			}
		}
		vera, err := o.ByName(ctx, "vera")
		if err != nil {
			t.Fatal(err)
		}
		sessions, err := o.ListSessions(ctx, vera.ID)
		if err != nil || len(sessions) != 3 {
			t.Fatal(len(sessions), err)
		}
		for _, c := range []struct {
			keep int64
			want int
		}{{sessions[1].ID, 2}, {sessions[1].ID, 0}, {0, 1}} {
			if ended, err := o.EndSessions(ctx, vera.ID, c.keep, shell); ended != c.want || err != nil {
				t.Errorf("keeping %d: %d, want %d; %v", c.keep, ended, c.want, err)
			}
		}
		ada, err := o.ByName(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if left, err := o.ListSessions(ctx, ada.ID); len(left) != 1 || err != nil {
			t.Errorf("another operator's sessions: %d, %v", len(left), err)
		}
		want := []string{"shell operator.end_sessions vera: sessions=2", "shell operator.end_sessions vera: sessions=1"}
		got := slices.DeleteFunc(audited(t, o), func(line string) bool { return !strings.Contains(line, "end_sessions") })
		if !slices.Equal(got, want) {
			t.Errorf("audit %q", got)
		}
	})
}
