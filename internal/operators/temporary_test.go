package operators

import (
	"context"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestTemporaryPassword checks that a generated password is temporary until its operator changes it,
// and a given one is not.
func TestTemporaryPassword(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		want := func(when string, temporary bool) {
			t.Helper()
			ada, err := o.ByName(ctx, "ada")
			if err != nil || ada.PasswordTemporary != temporary {
				t.Errorf("%s: temporary %v, %v", when, ada.PasswordTemporary, err)
			}
		}
		change := func(current, next string) error {
			login, err := o.Login(ctx, LoginRequest{Name: "ada", Password: current})
			if err != nil {
				t.Fatal(err)
			}
			session, ada, err := o.ByToken(ctx, login.Token)
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.ChangePassword(ctx, ada, session, current, next, models.Actor{Name: "ada"})
			return err
		}
		generated, err := o.Create(ctx, "ada", of(models.RoleViewer), "", shell)
		if err != nil {
			t.Fatal(err)
		}
		want("generated", true)
		if err := change(generated, generated); ruleOf(err) != "same" {
			t.Errorf("changed to itself: %v", err)
		}
		want("changed to itself", true)
		if err := change(generated, "tidy harbour"); err != nil {
			t.Fatal(err)
		}
		want("changed", false)
		if _, err := o.SetPassword(ctx, "ada", "", shell); err != nil {
			t.Fatal(err)
		}
		want("reset", true)
		if _, err := o.SetPassword(ctx, "ada", "another password", shell); err != nil {
			t.Fatal(err)
		}
		want("given", false)
	})
}
