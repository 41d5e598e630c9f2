package console

import (
	"testing"

	"rollcall/models"
)

func TestAvatar_HasInitials(t *testing.T) {
	for _, c := range []struct{ name, id, want string }{
		{"Lena Fischer", "lena", "LF"},
		{"ann", "x", "A"},
		{"Maria de la Cruz", "m", "MC"},
		{"王小明", "w", "王"},
		{"王 小明", "w", "王"},
		{"élodie o’neill", "e", "ÉN"},
		{"🎈", "user-17", "U1"},
		{"", "_.-", "?"},
	} {
		row := userRow{User: &models.User{Name: c.name, ExternalID: c.id}}
		if got := row.Initials(); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.name, c.id, got, c.want)
		}
	}
}
