package operators

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// addApps adds apps with the keys rc0, rc1 and so on, and returns their IDs.
func addApps(t *testing.T, db *database.DB, n int) models.IDs {
	t.Helper()
	ids := make(models.IDs, n)
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		for i := range ids {
			app := &models.App{Key: fmt.Sprintf("rc%d", i), Name: fmt.Sprintf("app %d", i), SecretHash: []byte{1}}
			if err := tx.Create(app).Error; err != nil {
				return err
			}
			ids[i] = app.ID
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestGrant_NamedApps(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		apps := addApps(t, db, MaxNamedApps+1)
		mustCreate(t, o, "ada", models.RoleOwner)
		named := func(role models.Role, ids ...int64) models.Grant { return models.Grant{Role: role, AppIDs: ids} }

		// The order and repetitions do not matter.
		if _, err := o.Create(ctx, "mo", named(models.RoleModerator, apps[2], apps[0], apps[2]), "tidy harbour", shell); err != nil {
			t.Fatal(err)
		}
		token, _ := mustLogin(t, o, "mo")
		_, mo, err := o.ByToken(ctx, token)
		if err != nil || mo.Role != models.RoleModerator || mo.AllApps || !slices.Equal(mo.AppIDs, models.IDs{apps[0], apps[2]}) {
			t.Errorf("%+v, %v", mo, err)
		}
		if !mo.Covers(apps[0]) || mo.Covers(apps[1]) || !mo.Covers(apps[2]) {
			t.Errorf("covers the wrong apps: %+v", mo.Grant)
		}
		if changed, err := o.SetRole(ctx, "mo", named(models.RoleModerator, apps[0], apps[2]), shell); changed || err != nil {
			t.Errorf("the same apps: %v, %v", changed, err)
		}
		if changed, err := o.SetRole(ctx, "mo", named(models.RoleModerator, apps[1]), shell); !changed || err != nil {
			t.Errorf("another app: %v, %v", changed, err)
		}
		if _, mo, err = o.ByToken(ctx, token); err != nil || mo.Covers(apps[0]) || !mo.Covers(apps[1]) {
			t.Errorf("the open session has %+v, %v", mo, err)
		}
		if _, err := o.SetRole(ctx, "mo", named(models.RoleAdmin, apps[:MaxNamedApps]...), shell); err != nil {
			t.Errorf("%d apps: %v", MaxNamedApps, err)
		}
		if changed, err := o.SetRole(ctx, "mo", of(models.RoleAdmin), shell); !changed || err != nil {
			t.Errorf("all apps: %v, %v", changed, err)
		}
		want := []string{"role=moderator apps=rc0,rc2", "role=moderator apps=rc1", "role=admin"}
		for _, detail := range want {
			if !slices.ContainsFunc(audited(t, o), func(line string) bool { return strings.HasSuffix(line, "mo: "+detail) }) {
				t.Errorf("no audit entry %q in %q", detail, audited(t, o))
			}
		}

		for name, c := range map[string]struct {
			grant models.Grant
			rule  string
		}{
			"no app":         {named(models.RoleViewer), "required"},
			"all and one":    {models.Grant{Role: models.RoleViewer, AllApps: true, AppIDs: models.IDs{apps[0]}}, "required"},
			"owner of one":   {named(models.RoleOwner, apps[0]), "owner"},
			"unknown app":    {named(models.RoleViewer, apps[0], 1<<40), "exists"},
			"too many":       {named(models.RoleViewer, apps...), "max"},
			"unknown role":   {models.Grant{Role: "king", AllApps: true}, "oneof"},
			"no role at all": {models.Grant{AllApps: true}, "oneof"},
		} {
			if _, err := o.SetRole(ctx, "mo", c.grant, shell); ruleOf(err) != c.rule {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := o.Create(ctx, "new", c.grant, "tidy harbour", shell); ruleOf(err) != c.rule {
				t.Errorf("creating, %s: %v", name, err)
			}
		}
	})
}

func TestRole_Includes(t *testing.T) {
	for i, role := range models.Roles() {
		for j, other := range models.Roles() {
			if got := role.Includes(other); got != (i >= j) {
				t.Errorf("%s includes %s: %v", role, other, got)
			}
		}
		if role.Includes("king") || models.Role("king").Includes(role) || role.Includes("") {
			t.Errorf("%s and an unknown role", role)
		}
	}
}
