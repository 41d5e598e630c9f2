package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"rollcall/internal/apps"
	"rollcall/internal/database"
	"rollcall/models"
)

// commandActor is who did it, in the audit, where a command did.
var commandActor = models.Actor{Name: "command line"}

type operatorCommand struct {
	Create      operatorCreate      `cmd:"" help:"Create an operator; the password comes from standard input or is generated."`
	SetPassword operatorSetPassword `cmd:"" help:"Give an operator a new password, from standard input or generated; ends its sessions."`
	List        operatorList        `cmd:"" help:"List the operators."`
}

type operatorCreate struct {
	Name string `arg:"" help:"The operator's name."`
	Role string `required:"" enum:"admin,viewer" help:"admin or viewer."`
}

// Run creates the operator.
func (c operatorCreate) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		given, err := readPassword(streams)
		if err != nil {
			return err
		}
		password, err := apps.NewOperators(db, clock).Create(ctx, c.Name, models.Role(c.Role), given, commandActor)
		if err != nil {
			return err
		}
		printPassword(streams, c.Name, given, password)
		return nil
	})
}

type operatorSetPassword struct {
	Name string `arg:"" help:"The operator's name."`
}

// Run changes the password.
func (c operatorSetPassword) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		given, err := readPassword(streams)
		if err != nil {
			return err
		}
		password, err := apps.NewOperators(db, clock).SetPassword(ctx, c.Name, given, 0, commandActor)
		if err != nil {
			return err
		}
		printPassword(streams, c.Name, given, password)
		return nil
	})
}

type operatorList struct{}

// Run lists the operators.
func (operatorList) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		list, err := apps.NewOperators(db, clock).List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tROLE\tCREATED")
		for _, op := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\n", op.Name, op.Role, op.CreatedAt)
		}
		return table.Flush()
	})
}

// readPassword answers the first line of what was piped in; empty where nothing
// was, and at a terminal, so that no password is echoed.
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

func printPassword(streams *Streams, name, given, password string) {
	if given != "" {
		fmt.Fprintf(streams.Out, "operator  %s\n", name)
		return
	}
	fmt.Fprintf(streams.Out, "operator  %s\npassword  %s   (shown only now)\n", name, password)
}
