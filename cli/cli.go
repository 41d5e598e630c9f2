// Package cli implements the commands of the rollcall binary.
//
// Each command reads its flags, opens what it needs and calls the rules.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/internal/fault"
)

// The exit statuses.
const (
	exitOK      = 0
	exitFailure = 1 // the database cannot be reached, a file cannot be read, …
	exitUsage   = 2 // a wrong flag, setting or value
)

// Streams are the inputs and outputs of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// InPiped reports whether In is a pipe or a file.
	InPiped bool
	// ErrTerminal reports whether Err is a terminal.
	ErrTerminal bool
	// Environment is searched for unknown settings. The values of settings are read from the
	// environment of the process.
	Environment []string
	// Notices is the text that `rollcall licenses` prints.
	Notices string
}

// System returns the streams of the process.
func System() Streams {
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InPiped:     !isCharDevice(os.Stdin),
		ErrTerminal: isCharDevice(os.Stderr),
		Environment: os.Environ(),
	}
}

// isCharDevice reports whether f is a terminal (or the null device) and not a pipe or a file.
func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// commands are all commands with their flags.
type commands struct {
	settings

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Migrate if needed, and serve (the default)."`
	Migrate  migrateCommand  `cmd:"" help:"The database's schema."`
	App      appCommand      `cmd:"" help:"Apps: create, list, change, rotate the secret."`
	Operator operatorCommand `cmd:"" help:"Operators of the console."`
	TokenKey tokenKeyCommand `cmd:"" help:"Keys that sign tokens: list, rotate, retire."`
	Webhook  webhookCommand  `cmd:"" help:"Endpoints of App Servers that receive events: create, list, test, replay, delete."`
	Backup   backupCommand   `cmd:"" help:"Copy the embedded database to a new file, beside a running server."`
	Copy     copyCommand     `cmd:"" help:"Copy a database to another, such as from SQLite to MySQL."`
	Config   configCommand   `cmd:"" help:"Print the settings in force and where they are from, or check them."`
	Audit    auditCommand    `cmd:"" help:"The audit: verify its chain."`
	Seed     seedCommand     `cmd:"" help:"Create example users."`
	Schema   schemaCommand   `cmd:"" help:"Print the schema of the GraphQL API."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
	Licenses licensesCommand `cmd:"" help:"Print the licences of Rollcall's components."`
}

// Run runs the command that args name and returns the exit status. A server stops gracefully when
// ctx ends.
func Run(ctx context.Context, args []string, streams Streams) int {
	var root commands
	var sources sources
	status := -1
	parser, err := kong.New(&root,
		kong.Name("rollcall"),
		kong.Vars{"defaultDatabaseURL": defaultDatabaseURL},
		kong.Description("The user service of an instant-messaging platform."),
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(func(code int) { status = code }), // after --help
		kong.UsageOnError(),
		kong.Resolvers(&sources),
	)
	if err != nil {
		panic(err) // the commands are compiled in
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if status >= 0 {
		return status
	}
	if err != nil {
		fmt.Fprintf(streams.Err, "rollcall: %s\n", sources.explain(parser.Model, err))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(&root.settings, &streams, &sources)
	return report(streams.Err, err, func(message string) string { return sources.locate(parsed, message) })
}

// usageError is a mistake of the user, which exits with status 2.
type usageError struct{ error }

// report prints err in one line and returns the exit status. locate adds to the message where the setting
// is that it names.
func report(w io.Writer, err error, locate func(message string) string) int {
	if err == nil {
		return exitOK
	}
	var usage usageError
	var refusal *fault.Error
	switch {
	case errors.As(err, &refusal):
		fmt.Fprintf(w, "rollcall: %s\n", oneLine(errors.New(refusal.Message)))
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(w, "rollcall: %s\n", locate(oneLine(err)))
		return exitUsage
	}
	fmt.Fprintf(w, "rollcall: %s\n", locate(oneLine(err)))
	return exitFailure
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// printJSON writes v as --json prints it: one value and a line end, in one write.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(output{w})
	enc.SetEscapeHTML(false)
	return printed(enc.Encode(v))
}

// printText writes a text in one write.
func printText(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(output{w}, format, args...)
	return printed(err)
}

// output is a standard output that fails if it was closed when the process started. Otherwise the
// printed text would be lost without an error.
type output struct{ io.Writer }

// Write writes p.
func (o output) Write(p []byte) (int, error) {
	if f, ok := o.Writer.(*os.File); ok && wasClosed(f) {
		return 0, fmt.Errorf("write %s: %w", f.Name(), os.ErrClosed)
	}
	return o.Writer.Write(p)
}

// printed adds the operation to the error of a write.
func printed(err error) error {
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

// clock is the clock of all rules.
var clock func() time.Time = time.Now
