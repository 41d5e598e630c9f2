// Rollcall is the user service of an instant-messaging platform. This file only
// starts it: internal/cli has the commands, README.md the layout.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"rollcall/internal/cli"
)

func main() {
	// The first signal asks the server to drain; a second one ends it at once,
	// because stop gives the signals their usual meaning back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], cli.System()))
}
