package models

import (
	"reflect"
	"testing"
)

func TestGrant_Within(t *testing.T) {
	all := func(role Role) Grant { return Grant{Role: role, AllApps: true} }
	named := func(role Role, ids ...int64) Grant { return Grant{Role: role, AppIDs: ids} }
	for _, c := range []struct{ a, b, want Grant }{
		{all(RoleOwner), all(RoleViewer), all(RoleViewer)},
		{all(RoleAdmin), named(RoleOwner, 1, 2), named(RoleAdmin, 1, 2)},
		{named(RoleAdmin, 1, 2), named(RoleModerator, 2, 3), named(RoleModerator, 2)},
		{named(RoleAdmin, 1), named(RoleAdmin, 2), named(RoleAdmin)},
		{all(RoleOwner), all("future"), all("")},
	} {
		for _, pair := range [][2]Grant{{c.a, c.b}, {c.b, c.a}} {
			if got := pair[0].Within(pair[1]); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v within %+v is %+v, want %+v", pair[0], pair[1], got, c.want)
			}
		}
	}
}
