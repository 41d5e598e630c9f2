package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/models"
	"rollcall/node"
)

type operatorCommand struct {
	Create      operatorCreate      `cmd:"" help:"Create an operator; the password comes from standard input or is generated."`
	SetPassword operatorSetPassword `cmd:"" help:"Give an operator a new password, from standard input or generated; ends its sessions."`
	SetRole     operatorSetRole     `cmd:"" help:"Change an operator's role, from its next request on."`
	ResetFactor operatorResetFactor `cmd:"" name:"reset-second-factor" help:"Remove an operator's second factors and recovery codes, if it has lost them; ends its sessions."`
	Delete      operatorDelete      `cmd:"" help:"Delete an operator; its sessions end at once."`
	List        operatorList        `cmd:"" help:"List the operators."`
}

type operatorCreate struct {
	Name string `arg:"" help:"The operator's name."`
	Role string `required:"" enum:"admin,viewer" placeholder:"admin|viewer" help:"admin (may do everything) or viewer (sees everything, changes nothing)."`
}

// Run creates the operator and prints a generated password.
func (c operatorCreate) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		given, err := readPassword(streams)
		if err != nil {
			return err
		}
		_, err = node.Offline(db, clock).Operators.Showing(passwordPrinter(streams, given)).
			Create(ctx, c.Name, models.Role(c.Role), given, audit.CommandLine)
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
	Name string `arg:"" help:"The operator's name."`
	Role string `required:"" enum:"admin,viewer" placeholder:"admin|viewer" help:"admin (may do everything) or viewer (sees everything, changes nothing)."`
}

// Run changes the role.
func (c operatorSetRole) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withDB(ctx, func(db *database.DB) error {
		changed, err := node.Offline(db, clock).Operators.SetRole(ctx, c.Name, models.Role(c.Role), audit.CommandLine)
		if err != nil {
			return err
		}
		if changed {
			fmt.Fprintf(streams.Out, "%s is %s now\n", c.Name, c.Role)
		} else {
			fmt.Fprintf(streams.Out, "%s is %s already\n", c.Name, c.Role)
		}
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
		list, err := node.Offline(db, clock).Operators.List(ctx)
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
		return printText(streams.Out, "operator  %s\npassword  %s   (shown only now)\n", name, password)
	}
}
