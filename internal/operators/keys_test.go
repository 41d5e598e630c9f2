package operators

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestCreateKey_RefusesMoreThanItsOperatorMay(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		ids := addApps(t, db, 3)
		named := func(role models.Role, ids ...int64) models.Grant { return models.Grant{Role: role, AppIDs: ids} }
		for i, c := range []struct {
			operator, key models.Grant
			field, rule   string
		}{
			{of(models.RoleOwner), of(models.RoleOwner), "", ""},
			{of(models.RoleOwner), named(models.RoleViewer, ids[2], ids[0]), "", ""},
			{named(models.RoleAdmin, ids[0], ids[1]), named(models.RoleAdmin, ids[0], ids[1]), "", ""},
			{named(models.RoleAdmin, ids[0], ids[1]), named(models.RoleViewer, ids[1]), "", ""},
			{of(models.RoleViewer), of(models.RoleModerator), "role", "own"},
			{of(models.RoleAdmin), of(models.RoleOwner), "role", "own"},
			{named(models.RoleAdmin, ids[0]), of(models.RoleViewer), "apps", "own"},
			{named(models.RoleAdmin, ids[0]), named(models.RoleViewer, ids[0], ids[1]), "apps", "own"},
			{of(models.RoleOwner), named(models.RoleOwner, ids[0]), "apps", "owner"},
			{of(models.RoleOwner), named(models.RoleAdmin), "apps", "required"},
			{of(models.RoleOwner), named(models.RoleAdmin, 99), "apps", "exists"},
			{of(models.RoleOwner), of("god"), "role", "oneof"},
		} {
			name := fmt.Sprint("op", i)
			if _, err := o.Create(ctx, name, c.operator, "tidy harbour", shell); err != nil {
				t.Fatal(err)
			}
			operator, err := o.ByName(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			key, text, err := o.CreateKey(ctx, operator, NewKey{Name: "deploy", Lifetime: 24 * time.Hour, Grant: c.key}, shell)
			refusal, _ := fault.As(err)
			switch {
			case c.rule != "" && (refusal == nil || *refusal.Field() != c.field || *refusal.Rule() != c.rule):
				t.Errorf("case %d: %v, want %s of %s", i, err, c.rule, c.field)
			case c.rule == "" && (err != nil || key.Role != c.key.Role || len(key.AppIDs) != len(c.key.AppIDs) || text == ""):
				t.Errorf("case %d: %+v, %v", i, key, err)
			}
		}
	})
}

func TestCreateKey_ChecksNameLifetimeAndNumber(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleOwner)
		mustCreate(t, o, "bea", models.RoleOwner)
		ada, err := o.ByName(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		bea, err := o.ByName(ctx, "bea")
		if err != nil {
			t.Fatal(err)
		}
		in := NewKey{Name: "deploy", Lifetime: time.Hour, Grant: of(models.RoleViewer)}
		_, text, err := o.CreateKey(ctx, ada, in, models.Actor{Name: "ada", Address: "192.0.2.1"})
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^rck_[a-z2-7]{52}$`).MatchString(text) {
			t.Errorf("the key is %q", text)
		}
		if got := audited(t, o); !slices.ContainsFunc(got, func(e string) bool {
			return strings.Contains(e, "operator.create_api_key") && strings.Contains(e, "key="+text[:12]+" role=viewer name=deploy")
		}) {
			t.Errorf("the audit has %q", got)
		}
		for _, c := range []struct {
			change      func(*NewKey)
			field, rule string
		}{
			{func(*NewKey) {}, "name", "unique"},
			{func(k *NewKey) { k.Name = "" }, "name", "required"},
			{func(k *NewKey) { k.Name = strings.Repeat("x", 65) }, "name", "max"},
			{func(k *NewKey) { k.Name, k.Lifetime = "x", 0 }, "expiry", "min"},
			{func(k *NewKey) { k.Name, k.Lifetime = "x", -time.Hour }, "expiry", "min"},
			{func(k *NewKey) { k.Name, k.Lifetime = "x", MaxKeyLifetime+time.Second }, "expiry", "max"},
		} {
			wrong := in
			c.change(&wrong)
			_, _, err := o.CreateKey(ctx, ada, wrong, shell)
			if refusal, _ := fault.As(err); refusal == nil || *refusal.Field() != c.field || *refusal.Rule() != c.rule {
				t.Errorf("%+v: %v, want %s of %s", wrong, err, c.rule, c.field)
			}
		}
		// Another operator may use the name.
		if _, _, err := o.CreateKey(ctx, bea, in, shell); err != nil {
			t.Error(err)
		}
		for i := range MaxKeys - 1 {
			in.Name = fmt.Sprint("key ", i)
			if _, _, err := o.CreateKey(ctx, ada, in, shell); err != nil {
				t.Fatal(err)
			}
		}
		in.Name = "one more"
		if _, _, err := o.CreateKey(ctx, ada, in, shell); ruleOf(err) != "limit" {
			t.Errorf("key %d: %v", MaxKeys+1, err)
		}
		// Expired keys leave room, and are deleted later.
		clock.now = clock.now.Add(time.Hour)
		if _, _, err := o.CreateKey(ctx, ada, in, shell); err != nil {
			t.Error(err)
		}
		clock.now = clock.now.Add(keyMemory)
		if _, err := retention.New(db, clock.read, slog.New(slog.DiscardHandler), Expiring()...).Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if list, err := o.AllKeys(ctx); err != nil || len(list) != 1 || list[0].Name != "one more" {
			t.Errorf("%d keys are left, %v", len(list), err)
		}
	})
}

// TestRevokeKey_EndsTheKeyAtOnce checks that an operator revokes its own keys only.
func TestRevokeKey_EndsTheKeyAtOnce(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleViewer)
		ada, err := o.ByName(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		key, text, err := o.CreateKey(ctx, ada, NewKey{Name: "deploy", Lifetime: time.Hour, Grant: of(models.RoleViewer)}, shell)
		if err != nil {
			t.Fatal(err)
		}
		if use, err := o.ByKey(ctx, text, "192.0.2.1"); err != nil || use.Operator.Name != "ada" || use.Key.LastUsedAddress != "192.0.2.1" {
			t.Fatalf("%+v, %v", use, err)
		}
		if revoked, err := o.RevokeKey(ctx, ada.ID+1, key.ID, shell); revoked != nil || err != nil {
			t.Errorf("of another operator: %+v, %v", revoked, err)
		}
		for i, want := range []bool{true, false} {
			if revoked, err := o.RevokeKey(ctx, ada.ID, key.ID, shell); revoked != nil != want || err != nil {
				t.Errorf("call %d: %+v, %v", i, revoked, err)
			}
		}
		if _, err := o.ByKey(ctx, text, "192.0.2.1"); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("a revoked key: %v", err)
		}
	})
}

func TestRight_Lacks(t *testing.T) {
	named := models.Grant{Role: models.RoleAdmin, AppIDs: models.IDs{1}}
	for _, c := range []struct {
		right Right
		grant models.Grant
		want  Lack
	}{
		{Viewers, named, LacksNothing},
		{Admins, named, LacksNothing},
		{AdminsOfAll, named, LacksApps},
		{Owners, named, LacksRole},
		{Owners, of(models.RoleOwner), LacksNothing},
		{Viewers, of(""), LacksRole},
		{Viewers, of("future"), LacksRole},
	} {
		if got := c.right.Lacks(c.grant); got != c.want {
			t.Errorf("%+v of %+v: %d, want %d", c.right, c.grant, got, c.want)
		}
	}
}

func TestForgetApp_TakesTheAppOutOfKeys(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		ids := addApps(t, db, 2)
		mustCreate(t, o, "ada", models.RoleOwner)
		ada, err := o.ByName(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := o.CreateKey(ctx, ada, NewKey{Name: "deploy", Lifetime: time.Hour, Grant: models.Grant{Role: models.RoleAdmin, AppIDs: ids}}, shell)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := o.ForgetApp(ctx, &models.App{ID: ids[0]}); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if use, err := o.ByKey(ctx, text, "192.0.2.1"); err != nil || !slices.Equal(use.Grant.AppIDs, ids[1:]) {
			t.Errorf("%+v, %v", use, err)
		}
	})
}
