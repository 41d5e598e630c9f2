package cli

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
	"rollcall/node"
)

type operatorCommand struct {
	Create      operatorCreate      `cmd:"" help:"Create an operator; the password comes from standard input or is generated."`
	SetPassword operatorSetPassword `cmd:"" help:"Give an operator a new password, from standard input or generated; ends its sessions."`
	SetRole     operatorSetRole     `cmd:"" help:"Change an operator's role and apps, from its next request on."`
	ResetFactor operatorResetFactor `cmd:"" name:"reset-second-factor" help:"Remove an operator's second factors and recovery codes, if it has lost them; ends its sessions."`
	Keys        operatorKeys        `cmd:"" help:"List an operator's API keys."`
	RevokeKey   operatorRevokeKey   `cmd:"" help:"Revoke an API key of an operator."`
	Delete      operatorDelete      `cmd:"" help:"Delete an operator; its sessions end at once."`
	List        operatorList        `cmd:"" help:"List the operators."`
}

type operatorCreate struct {
	Name string   `arg:"" help:"The operator's name."`
	Role string   `required:"" enum:"viewer,moderator,admin,owner" placeholder:"viewer|moderator|admin|owner" help:"viewer (sees everything except secrets), moderator (also bans and disconnects users), admin (changes everything in apps) or owner (also manages operators)."`
	Apps []string `name:"app" sep:"none" placeholder:"KEY" help:"The key of an app that the role is for; repeat it for several. Without it, the role is for all apps."`
}

// Run creates the operator and prints a generated password.
func (c operatorCreate) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		given, err := readPassword(streams)
		if err != nil {
			return err
		}
		rules := node.Offline(db, clock)
		grant := models.Grant{Role: models.Role(c.Role), AllApps: len(c.Apps) == 0}
		list, err := rules.Apps.List(ctx)
		if err != nil {
			return err
		}
		if grant.AppIDs, err = appIDs(list, c.Apps); err != nil {
			return err
		}
		_, err = rules.Operators.Showing(passwordPrinter(streams, given)).Create(ctx, c.Name, grant, given, audit.CommandLine)
		return err
	})
}

type operatorSetPassword struct {
	Name string `arg:"" help:"The operator's name."`
}

// Run changes the password and prints a generated one.
func (c operatorSetPassword) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		given, err := readPassword(streams)
		if err != nil {
			return err
		}
		_, err = node.Offline(db, clock).Operators.Showing(passwordPrinter(streams, given)).
			SetPassword(ctx, c.Name, given, audit.CommandLine)
		return err
	})
}

type operatorSetRole struct {
	Name    string   `arg:"" help:"The operator's name."`
	Role    string   `required:"" enum:"viewer,moderator,admin,owner" placeholder:"viewer|moderator|admin|owner" help:"viewer (sees everything except secrets), moderator (also bans and disconnects users), admin (changes everything in apps) or owner (also manages operators)."`
	Apps    []string `name:"app" sep:"none" xor:"apps" placeholder:"KEY" help:"The key of an app that the role is for; repeat it for several. Without it and --all-apps, the operator's apps stay."`
	AllApps bool     `xor:"apps" help:"The role is for all apps. An owner's always is."`
}

// Run changes the role and the apps.
func (c operatorSetRole) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		rules := node.Offline(db, clock)
		grant := models.Grant{Role: models.Role(c.Role), AllApps: c.AllApps}
		list, err := rules.Apps.List(ctx)
		if err != nil {
			return err
		}
		if grant.AppIDs, err = appIDs(list, c.Apps); err != nil {
			return err
		}
		if !c.AllApps && len(c.Apps) == 0 {
			operator, err := rules.Operators.ByName(ctx, c.Name)
			if err != nil {
				return err
			}
			if operator != nil { // otherwise SetRole refuses the name
				grant.AllApps = operator.AllApps
				for _, app := range list {
					if !grant.AllApps && operator.Covers(app.ID) {
						grant.AppIDs = append(grant.AppIDs, app.ID)
					}
				}
			}
		}
		changed, err := rules.Operators.SetRole(ctx, c.Name, grant, audit.CommandLine)
		if err != nil {
			return err
		}
		when := "already"
		if changed {
			when = "now"
		}
		fmt.Fprintf(streams.Out, "%s is %s of %s %s\n", c.Name, c.Role, scopeText(list, grant), when)
		return nil
	})
}

type operatorResetFactor struct {
	Name string `arg:"" help:"The operator's name."`
}

// Run removes the second factors.
func (c operatorResetFactor) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		reset, err := node.Offline(db, clock).Operators.ResetSecondFactor(ctx, c.Name, audit.CommandLine)
		if err != nil {
			return err
		}
		if reset {
			fmt.Fprintf(streams.Out, "%s has no second factor now\n", c.Name)
		} else {
			fmt.Fprintf(streams.Out, "%s had no second factor\n", c.Name)
		}
		return nil
	})
}

// appIDs returns the apps.id of the apps with these keys. list has all apps.
func appIDs(list []*models.App, keys []string) (models.IDs, error) {
	var ids models.IDs
	for _, key := range keys {
		at := slices.IndexFunc(list, func(app *models.App) bool { return app.Key == key })
		if at < 0 {
			return nil, unknownApp(key)
		}
		ids = append(ids, list[at].ID)
	}
	return ids, nil
}

// scopeText describes the apps that a grant is for. list has all apps.
func scopeText(list []*models.App, grant models.Grant) string {
	if grant.AllApps {
		return "all apps"
	}
	var names []string
	for _, app := range list {
		if grant.Covers(app.ID) {
			names = append(names, app.Name)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "no app")
}

type operatorDelete struct {
	Name string `arg:"" help:"The operator's name."`
}

// Run deletes the operator.
func (c operatorDelete) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		if err := node.Offline(db, clock).Operators.Delete(ctx, c.Name, audit.CommandLine); err != nil {
			return err
		}
		fmt.Fprintf(streams.Out, "%s is deleted\n", c.Name)
		return nil
	})
}

type operatorList struct{}

// Run lists the operators.
func (operatorList) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		rules := node.Offline(db, clock)
		list, err := rules.Operators.List(ctx)
		if err != nil {
			return err
		}
		apps, err := rules.Apps.List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tROLE\tAPPS\tLOGIN\tCREATED")
		for _, op := range list {
			login := "local"
			if op.BySSO() {
				login = "sso"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", op.Name, op.Role, scopeText(apps, op.Grant), login, op.CreatedAt)
		}
		return table.Flush()
	})
}

type operatorKeys struct {
	Name string `arg:"" help:"The operator's name."`
}

// Run lists the keys, newest first.
func (c operatorKeys) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		rules := node.Offline(db, clock)
		operator, keys, err := keysOf(ctx, rules, c.Name)
		if err != nil {
			return err
		}
		apps, err := rules.Apps.List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tKEY\tROLE\tAPPS\tEXPIRES\tLAST USED")
		for _, k := range keys {
			used := "never"
			if k.LastUsedAt != 0 {
				used = fmt.Sprintf("%s from %s", k.LastUsedAt, k.LastUsedAddress)
			}
			grant := k.Within(operator.Grant)
			fmt.Fprintf(table, "%s\t%s…\t%s\t%s\t%s\t%s\n", k.Name, k.Prefix, grant.Role, scopeText(apps, grant), k.ExpiresAt, used)
		}
		return table.Flush()
	})
}

type operatorRevokeKey struct {
	Name string `arg:"" help:"The operator's name."`
	Key  string `arg:"" help:"The name of the API key."`
}

// Run revokes the key.
func (c operatorRevokeKey) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		rules := node.Offline(db, clock)
		operator, keys, err := keysOf(ctx, rules, c.Name)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(keys, func(k *models.OperatorKey) bool { return k.Name == c.Key })
		if at < 0 {
			return fault.Invalid("key", "exists", "%s has no API key named %q", c.Name, c.Key)
		}
		if _, err := rules.Operators.RevokeKey(ctx, operator.ID, keys[at].ID, audit.CommandLine); err != nil {
			return err
		}
		fmt.Fprintf(streams.Out, "the API key %s of %s is revoked\n", c.Key, c.Name)
		return nil
	})
}

// keysOf returns the operator of that name and its API keys.
func keysOf(ctx context.Context, rules node.Rules, name string) (*models.Operator, []*models.OperatorKey, error) {
	operator, err := rules.Operators.ByName(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if operator == nil {
		return nil, nil, fault.Invalid("name", "exists", "there is no operator named %q", name)
	}
	keys, err := rules.Operators.Keys(ctx, operator.ID)
	return operator, keys, err
}

// readPassword returns the first line of the piped input. It returns "" if there is none, and at a
// terminal, so that no password is echoed.
func readPassword(streams *Streams) (string, error) {
	if !streams.InPiped {
		return "", nil
	}
	lines := bufio.NewScanner(streams.In)
	lines.Scan()
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("reading the password from standard input: %w", err)
	}
	return strings.TrimRight(lines.Text(), "\r"), nil
}

// passwordPrinter returns a function that prints an operator, with the password unless it was
// given.
func passwordPrinter(streams *Streams, given string) func(name, password string) error {
	return func(name, password string) error {
		if given != "" {
			return printText(streams.Out, "operator  %s\n", name)
		}
		return printText(streams.Out, "operator  %s\npassword  %s   (shown only now, and changed after the first login)\n", name, password)
	}
}
