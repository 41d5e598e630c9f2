package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/models"
)

type appCommand struct {
	Create       appCreate       `cmd:"" help:"Create an app and print its key and, once, its secret."`
	List         appList         `cmd:"" help:"List the apps."`
	Set          appSet          `cmd:"" help:"Change an app's settings, either all or none."`
	Disable      appDisable      `cmd:"" help:"Disable an app: its secret and all tokens are refused until it is enabled. Nothing is deleted."`
	Enable       appEnable       `cmd:"" help:"Enable an app that is disabled."`
	Delete       appDelete       `cmd:"" help:"Delete an app that is disabled, with everything in it: a DEVELOPMENT app, or one without users. Run again, it completes a deletion that was interrupted."`
	RotateSecret appRotateSecret `cmd:"" help:"Give an app a new secret; the present one and its tokens end, at once or after an overlap."`
}

// appJSON is an app as --json prints it.
type appJSON struct {
	Key         string              `json:"key"`
	Secret      string              `json:"secret,omitempty"`
	Name        string              `json:"name"`
	Environment models.Environment  `json:"environment"`
	Edition     models.Edition      `json:"edition"`
	Settings    *models.AppSettings `json:"settings,omitempty"`
	// UserLimit is null if there is no limit.
	UserLimit *int `json:"registeredUserLimit,omitempty"`
	// DisabledAt is absent if the app is not disabled.
	DisabledAt string `json:"disabledAt,omitempty"`
}

type appCreate struct {
	Name        string `required:"" help:"The app's name, new among apps."`
	Environment string `required:"" help:"development or production."`
	Edition     string `default:"standard" help:"standard, flagship or premium."`
	JSON        bool   `help:"Print one JSON object."`
}

// Run creates the app and prints its secret.
func (c appCreate) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		_, _, err := rules.Showing(func(app *models.App, secret string) error {
			if c.JSON {
				return printJSON(streams.Out, appJSON{Key: app.Key, Secret: secret, Name: app.Name, Environment: app.Environment, Edition: app.Edition})
			}
			return printText(streams.Out, "app     %s (%s, %s)\nkey     %s\nsecret  %s   (shown only now)\n",
				app.Name, app.Environment, app.Edition, app.Key, secret)
		}).Create(ctx, apps.NewApp{
			Name:        c.Name,
			Environment: models.Environment(strings.ToUpper(c.Environment)),
			Edition:     models.Edition(strings.ToUpper(c.Edition)),
		}, audit.CommandLine)
		return err
	})
}

type appList struct {
	JSON bool `help:"Print one JSON array."`
}

// Run lists the apps.
func (c appList) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		list, err := rules.List(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			out := make([]appJSON, len(list))
			for i, app := range list {
				out[i] = appJSON{Key: app.Key, Name: app.Name, Environment: app.Environment, Edition: app.Edition,
					Settings: &app.Settings, UserLimit: app.RegisteredUserLimit()}
				if app.Disabled() {
					out[i].DisabledAt = app.DisabledAt.String()
				}
			}
			return printJSON(streams.Out, out)
		}
		counts, err := rules.UserCounts(ctx, list...)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tNAME\tENVIRONMENT\tEDITION\tUSERS\tLIMIT\tSTATE")
		for _, app := range list {
			limit := "none"
			if n := app.RegisteredUserLimit(); n != nil {
				limit = fmt.Sprint(*n)
			}
			state := "enabled"
			switch {
			case app.Deleting():
				state = "being deleted"
			case app.Disabled():
				state = "disabled"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", app.Key, app.Name, app.Environment, app.Edition, counts[app.ID].Registered, limit, state)
		}
		return table.Flush()
	})
}

type appSet struct {
	Key    string   `arg:"" help:"The app key."`
	Values []string `arg:"" name:"setting=value" help:"Such as friendLimit=500; see the API's AppSettings, and name, edition, registeredUserLimit."`
}

// Run changes the settings.
func (c appSet) Run(ctx context.Context, s *settings, streams *Streams) error {
	values := make(map[string]string, len(c.Values))
	for _, text := range c.Values {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return usageError{fmt.Errorf("%q is not SETTING=VALUE", text)}
		}
		if _, twice := values[name]; twice {
			return usageError{fmt.Errorf("%s is set twice", name)}
		}
		values[name] = value
	}
	return s.withApps(ctx, func(rules *apps.Service) error {
		app, err := rules.Set(ctx, c.Key, values, audit.CommandLine)
		if err != nil {
			return err
		}
		if app == nil {
			return unknownApp(c.Key)
		}
		fmt.Fprintf(streams.Out, "%s is changed; a running server follows at its next request\n", app.Name)
		return nil
	})
}

type appRotateSecret struct {
	Key     string        `arg:"" help:"The app key."`
	Overlap time.Duration `help:"How long the present secret and its tokens stay valid, such as 24h, at most 720h; without it, they end at once."`
	JSON    bool          `help:"Print one JSON object."`
}

// Run rotates the secret and prints the new one.
func (c appRotateSecret) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		app, _, err := rules.Showing(func(app *models.App, secret string) error {
			if c.JSON {
				return printJSON(streams.Out, struct {
					Key    string `json:"key"`
					Secret string `json:"secret"`
				}{app.Key, secret})
			}
			until := ""
			if app.PreviousSecretEndsAt != 0 {
				until = fmt.Sprintf("the previous secret and its tokens are valid until %s\n", app.PreviousSecretEndsAt)
			}
			return printText(streams.Out, "key     %s\nsecret  %s   (shown only now)\n%s", app.Key, secret, until)
		}).RotateSecret(ctx, c.Key, c.Overlap, audit.CommandLine)
		if err == nil && app == nil {
			return unknownApp(c.Key)
		}
		return err
	})
}

type appDisable struct {
	Key string `arg:"" help:"The app key."`
}

// Run disables the app.
func (c appDisable) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		app, changed, err := rules.Disable(ctx, c.Key, audit.CommandLine)
		return printAppState(streams, c.Key, app, "disabled", changed, err)
	})
}

type appEnable struct {
	Key string `arg:"" help:"The app key."`
}

// Run enables the app.
func (c appEnable) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		app, changed, err := rules.Enable(ctx, c.Key, audit.CommandLine)
		return printAppState(streams, c.Key, app, "enabled", changed, err)
	})
}

type appDelete struct {
	Key  string `arg:"" help:"The app key."`
	Name string `required:"" help:"The name of the app, to confirm."`
}

// Run deletes the app.
func (c appDelete) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withApps(ctx, func(rules *apps.Service) error {
		app, err := rules.Delete(ctx, c.Key, c.Name, audit.CommandLine)
		if err != nil {
			return err
		}
		if app == nil {
			return unknownApp(c.Key)
		}
		if err := rules.CompleteDeletions(ctx); err != nil {
			return err
		}
		return printText(streams.Out, "%s is deleted\n", app.Name)
	})
}

// printAppState prints the result of disabling or enabling the app with that key.
func printAppState(streams *Streams, key string, app *models.App, state string, changed bool, err error) error {
	switch {
	case err != nil:
		return err
	case app == nil:
		return unknownApp(key)
	case !changed:
		return printText(streams.Out, "%s is already %s\n", app.Name, state)
	}
	return printText(streams.Out, "%s is %s\n", app.Name, state)
}

func unknownApp(key string) error {
	return usageError{fmt.Errorf("there is no app with the key %q", key)}
}
