package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/models"
)

// firstOperator is the name of the first operator of a new installation.
const firstOperator = "admin"

// firstStart creates the first operator if there is no operator and, for a demo, two apps to try
// things out if there is no app. Each is printed before it is committed, so that a start whose output is lost
// creates nothing. If nodes start together on an empty database, one of them creates each; the
// others find the name taken.
type firstStart struct {
	apps      *apps.Service
	operators *operators.Service
	demo      bool
	out       io.Writer

	printed         bool   // a password or a secret was printed
	demoKey, secret string // of the DEVELOPMENT app, "" if it was not created
}

// run creates them. password is the operator's; if it is "", one is generated.
func (f *firstStart) run(ctx context.Context, password string) error {
	any, err := f.operators.Any(ctx)
	if err != nil {
		return err
	}
	if !any {
		if err := f.makeOperator(ctx, password); err != nil {
			return passwordError(fmt.Errorf("creating the first operator: %w", err))
		}
	}
	if !f.demo {
		return nil
	}
	list, err := f.apps.List(ctx)
	if err != nil || len(list) > 0 {
		return err
	}
	for _, demo := range []apps.NewApp{
		{Name: "demo", Environment: models.EnvironmentDevelopment},
		{Name: "demo-production", Environment: models.EnvironmentProduction},
	} {
		if err := f.makeApp(ctx, demo); err != nil {
			return fmt.Errorf("creating the app %s: %w", demo.Name, err)
		}
	}
	return nil
}

// makeOperator prints the password only if it was generated: a given password is already known, and
// the output may be a log.
func (f *firstStart) makeOperator(ctx context.Context, given string) error {
	// Not temporary, as one that Create generates: who starts the server can set every password.
	password := cmp.Or(given, operators.NewPassword())
	_, err := f.operators.Showing(func(name, password string) error {
		if given != "" {
			password = "as given in ROLLCALL_ADMIN_PASSWORD"
		}
		return printText(f.out, "\nOperator    %s\nPassword    %s\n", name, password)
	}).Create(ctx, firstOperator, models.Grant{Role: models.RoleOwner, AllApps: true}, password, audit.FirstStart)
	if taken(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.printed = f.printed || given == ""
	return nil
}

func (f *firstStart) makeApp(ctx context.Context, in apps.NewApp) error {
	settings := models.DefaultAppSettings()
	settings.StatusQueryEnabled, settings.FriendStatusNotifyEnabled = true, true
	in.Edition, in.Settings = models.EditionFlagship, &settings
	app, secret, err := f.apps.Showing(func(app *models.App, secret string) error {
		return printText(f.out, "\nApp         %s (%s, %s)\nApp key     %s\nApp secret  %s\n",
			app.Name, app.Environment, app.Edition, app.Key, secret)
	}).Create(ctx, in, audit.FirstStart)
	if taken(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.printed = true
	if app.Environment == models.EnvironmentDevelopment {
		f.demoKey, f.secret = app.Key, secret
	}
	return nil
}

// end prints, once the server listens, the URL of the console and a curl command that registers a
// user of the new app. base and console are the URLs of the API and of the console.
func (f *firstStart) end(ctx context.Context, base, console string) error {
	var b strings.Builder
	if f.printed {
		b.WriteString("\nPasswords and secrets are shown only now.\n")
	}
	fmt.Fprintf(&b, "\nConsole     %s/console/\n", console)
	if f.demoKey != "" {
		token, _, err := f.apps.IssueToken(ctx, f.demoKey, f.secret, apps.DefaultTokenTTL)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\nRegister a user (the token is valid for a day):\n\n"+
			"curl -s %s/graphql \\\n"+
			"  -H 'Content-Type: application/json' \\\n"+
			"  -H 'Authorization: Bearer %s' \\\n"+
			"  -d '{\"query\":\"mutation { registerUser(input: {id: \\\"ann\\\", name: \\\"Ann\\\"}) { created token user { id name } } }\"}'\n", base, token)
	}
	return printText(f.out, "%s\n", b.String())
}

// taken reports whether another node has created something with this name.
func taken(err error) bool {
	var refusal *fault.Error
	return errors.As(err, &refusal) && refusal.Extensions["rule"] == "unique"
}

// passwordError adds the setting's name if a first password was refused.
func passwordError(err error) error {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return usageError{fmt.Errorf("ROLLCALL_ADMIN_PASSWORD: %s", refusal.Message)}
	}
	return err
}
