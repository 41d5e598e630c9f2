// Command withservers runs another command with the servers that tests need:
//
//	withservers -- go test ./...
//
// It starts MariaDB and Redis, sets ROLLCALL_TEST_MYSQL and ROLLCALL_TEST_REDIS to their URLs, runs
// the command, stops the servers and exits with the command's exit status. It forwards SIGINT and
// SIGTERM to the command and waits for it to end.
//
// If ROLLCALL_TEST_TIDB names TiDB's server, it starts that instead of MariaDB. If
// ROLLCALL_TEST_GENERAL_LOG names a file, MariaDB appends every statement to it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"rollcall/internal/testenv"
)

// Exit statuses besides the command's own, as in shells.
const (
	exitUsage      = 2
	exitNoServer   = 1
	exitNotRun     = 127
	exitBySignalOf = 128
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withservers -- COMMAND [ARGUMENT…]")
		return exitUsage
	}
	// Before the server starts, so that no signal ends this process before it handles them.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	server, err := testenv.StartMySQLServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, "withservers:", err)
		return exitNoServer
	}
	defer server.Stop()
	redis, err := testenv.StartRedis()
	if err != nil {
		fmt.Fprintln(os.Stderr, "withservers:", err)
		return exitNoServer
	}
	defer redis.Stop()

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), testenv.ServerVariable+"="+server.URL(), testenv.RedisVariable+"="+redis.URL())
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "withservers:", err)
		return exitNotRun
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // a command that has just ended needs no signal
		case err := <-ended:
			return exitStatus(err)
		}
	}
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "withservers:", err)
		return exitNotRun
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitBySignalOf + int(status.Signal())
	}
	return exit.ExitCode()
}
