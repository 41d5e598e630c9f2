package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
	"rollcall/models"
)

// firstOperator is the account of a new installation.
const firstOperator = "admin"

// startActor is who made, in the audit, what a first start has made.
var startActor = models.Actor{Name: "first start"}

// made is what a first start has made and prints once.
type made struct {
	operator, password string
	apps               []madeApp
}

type madeApp struct {
	app    *models.App
	secret string
}

// firstStart makes the first operator where there is none, and two apps to try
// things out with where there is none. Of nodes that start together on an empty
// database one makes each of them; the others find the name taken.
func firstStart(ctx context.Context, rules *apps.Service, operators *apps.Operators, password string) (*made, error) {
	out := &made{}
	any, err := operators.Any(ctx)
	if err != nil {
		return nil, err
	}
	if !any {
		got, err := operators.Create(ctx, firstOperator, models.RoleAdmin, password, startActor)
		switch {
		case err == nil:
			out.operator, out.password = firstOperator, got
		case !taken(err):
			return nil, fmt.Errorf("making the first operator: %w", passwordError(err))
		}
	}
	list, err := rules.List(ctx)
	if err != nil || len(list) > 0 {
		return out, err
	}
	settings := models.DefaultAppSettings()
	settings.StatusQueryEnabled, settings.FriendStatusNotifyEnabled = true, true
	for _, demo := range []apps.NewApp{
		{Name: "demo", Environment: models.EnvironmentDevelopment},
		{Name: "demo-production", Environment: models.EnvironmentProduction},
	} {
		demo.Edition, demo.Settings = models.EditionFlagship, &settings
		app, secret, err := rules.Create(ctx, demo, startActor)
		if taken(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("making the app %s: %w", demo.Name, err)
		}
		out.apps = append(out.apps, madeApp{app, secret})
	}
	return out, nil
}

// taken says whether another node has made what has this name.
func taken(err error) bool {
	var refusal *fault.Error
	return errors.As(err, &refusal) && refusal.Extensions["rule"] == "unique"
}

// passwordError names the setting that a refused first password came from.
func passwordError(err error) error {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return usageError{fmt.Errorf("ROLLCALL_ADMIN_PASSWORD: %s", refusal.Message)}
	}
	return err
}

// print tells whoever started the server what it needs to begin with. base is
// the server's URL; issue makes an app token for the curl.
func (m *made) print(w io.Writer, base string, issue func(madeApp) (string, error)) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nConsole     %s/console/\n", base)
	if m.operator != "" {
		fmt.Fprintf(&b, "Operator    %s\nPassword    %s\n", m.operator, m.password)
	}
	for _, a := range m.apps {
		fmt.Fprintf(&b, "\nApp         %s (%s, %s)\nApp key     %s\nApp secret  %s\n",
			a.app.Name, a.app.Environment, a.app.Edition, a.app.Key, a.secret)
	}
	if m.operator != "" || len(m.apps) > 0 {
		b.WriteString("\nPasswords and secrets are shown only now.\n")
	}
	for _, a := range m.apps {
		if a.app.Environment != models.EnvironmentDevelopment {
			continue
		}
		token, err := issue(a)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\nRegister a user (the token is good for a day):\n\n"+
			"curl -s %s/graphql \\\n"+
			"  -H 'Content-Type: application/json' \\\n"+
			"  -H 'Authorization: Bearer %s' \\\n"+
			"  -d '{\"query\":\"mutation { registerUser(input: {id: \\\"ann\\\", name: \\\"Ann\\\"}) { created token user { id name } } }\"}'\n", base, token)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
