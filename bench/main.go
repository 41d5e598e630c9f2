//go:build linux

// Bench measures Rollcall side by side with its floors, the shortest hand-written programs that do
// the same work, and prints the table of README.md beside it. It runs in the repository's folder:
//
//	make bench                  every row; rewrites the table in bench/README.md
//	make bench ROW=user-http    one row
//	make bench ARGS=-short      a few seconds per row, to check that they work
//
// It is a module of its own, so that what only measurements need stays out of the server's go.mod.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"rollcall/bench/floor"
	"rollcall/bench/kit"
)

// row is one benchmark, in a file of its own.
type row struct {
	name string
	// number is the row's number in the design.
	number int
	run    func(context.Context, *kit.Lab) ([]kit.Figure, error)
}

// rows are the benchmarks in the order in which they run. Those whose memory must not be affected
// by other rows start servers of their own. The row that fills MariaDB is the last.
var rows = []row{userHTTP, permission, friendPage, addFriend, idleDevice, watchMemory, fanout, burst, storm, start, console, nodes, webhookChanges, hostile, growth}

// The programs in a round, in this order. If friends are read, there are two comparators: with a
// query for each friend, and with a JOIN.
const (
	ours = iota
	theFloor
	theStock
)

const (
	// rowLimit limits the time of a row, so that a stuck row ends.
	rowLimit = 10 * time.Minute
	// timeLimit limits the time of all rows.
	timeLimit = 20 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case kit.FloorCommand:
			return floor.Run(ctx, args[1:])
		case kit.AgentCommand:
			return kit.Agent(ctx)
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	name := flags.String("row", "", "run this row alone: "+strings.Join(names(), ", "))
	short := flags.Bool("short", false, "a few seconds per row, to check that they work; the figures mean nothing")
	profiles := flags.String("profiles", "", "write profiles of the server into this folder: CPU and allocations of rows 1 to 4, 6 and 8, the heap of row 5")
	binary := flags.String("binary", "", "measure this binary of the server instead of building one")
	against := flags.String("against", "", "compare the build with this other binary of the server in the same slices, by rows 1 to 4 and 6 to 8")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen := rows
	if *name != "" {
		i := slices.Index(names(), *name)
		if i < 0 {
			return fmt.Errorf("unknown row %q; the rows are %s", *name, strings.Join(names(), ", "))
		}
		chosen = rows[i : i+1]
	}
	if *profiles != "" {
		if err := os.MkdirAll(*profiles, 0o777); err != nil {
			return fmt.Errorf("the folder for profiles: %w", err)
		}
	}
	lab, err := kit.NewLab()
	if err != nil {
		return err
	}
	defer lab.Close()
	lab.Short, lab.Profiles, lab.Binary = *short, *profiles, *binary
	if *against != "" {
		return runBuilds(ctx, lab, *against)
	}
	figures, err := measure(ctx, lab, chosen)
	table := kit.Table(figures)
	fmt.Println(table)
	if err != nil {
		return err
	}
	if *short || *name != "" || *binary != "" {
		return nil
	}
	return updateReadme("bench/README.md", table)
}

func names() []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.name)
	}
	return list
}

// logSince returns a function that logs with the time since began.
func logSince(began time.Time, name string) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.1fs  %-12s %s\n", time.Since(began).Seconds(), name, fmt.Sprintf(format, args...))
	}
}

// measure returns the figures of the rows. If a row fails, it returns those of the rows before it
// and the error.
func measure(ctx context.Context, lab *kit.Lab, chosen []row) ([]kit.Figure, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	var figures []kit.Figure
	for _, r := range chosen {
		lab.Log = logSince(began, r.name)
		limited, cancel := context.WithTimeout(ctx, rowLimit)
		start := time.Now()
		got, err := r.run(limited, lab)
		cancel()
		lab.Log("took %s", time.Since(start).Round(time.Second))
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not complete in time (%s for a row, %s for all): %w", rowLimit, timeLimit, err)
		}
		if err != nil {
			return figures, fmt.Errorf("row %s: %w", r.name, err)
		}
		for _, f := range got {
			f.Row, f.Name = r.number, r.name
			figures = append(figures, f)
		}
	}
	slices.SortStableFunc(figures, func(a, b kit.Figure) int { return a.Row - b.Row })
	return figures, nil
}
