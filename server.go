// Rollcall is the user service of an instant-messaging platform. This file only
// starts it: cli has the commands, docs/architecture.md the layout.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"

	"rollcall/cli"
)

// notices is what the binary contains that others have made; internal/notices writes it.
//
//go:embed THIRD_PARTY_NOTICES
var notices string

func main() {
	// A write to a closed pipe is an error of that write, and does not end the process:
	// a command undoes what it cannot report, and a server outlives its log's reader.
	signal.Ignore(syscall.SIGPIPE)
	// The first signal asks the server to drain; a second one ends it at once,
	// because stop gives the signals their usual meaning back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	streams := cli.System()
	streams.Notices = notices
	os.Exit(cli.Run(ctx, os.Args[1:], streams))
}
