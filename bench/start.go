//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rollcall/bench/kit"
)

// start is row 10: the time from the start of the binary to the first response on an empty SQLite
// database, the binary's size, and its memory at rest. The floor is a net/http server with only a
// health check.
var start = row{name: "start", number: 10, run: runStart}

// idleFor is how long a program has been idle when its memory is read.
const idleFor = 5 * time.Second

func runStart(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	binary, err := lab.Build(ctx)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(binary)
	if err != nil {
		return nil, err
	}
	lab.Log("measuring")
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 10, 2),
		func() (time.Duration, error) {
			p, took, err := startServer(ctx, lab)
			if err == nil {
				p.Stop()
			}
			return took, err
		},
		func() (time.Duration, error) {
			p, took, err := startFloor(ctx, lab)
			if err == nil {
				p.Stop()
			}
			return took, err
		})
	if err != nil {
		return nil, err
	}
	var memory [2]float64
	for i, begin := range []func(context.Context, *kit.Lab) (*kit.Process, time.Duration, error){ours: startServer, theFloor: startFloor} {
		if memory[i], err = idleMemory(ctx, lab, begin); err != nil {
			return nil, err
		}
	}
	took := func(d time.Duration) float64 { return float64(d) }
	return []kit.Figure{
		{
			Work: "start to the first response, empty SQLite", Goal: "≤ 500 ms", Met: kit.AtMost(kit.Median(rounds, ours, took), float64(500*time.Millisecond)),
			Ours: kit.Millis(kit.Median(rounds, ours, took)), Floor: kit.Millis(kit.Median(rounds, theFloor, took)),
			Note: "with migrations and the first operator",
		},
		{
			Work: "memory after the start, idle", Goal: "≤ 60 MB", Met: kit.AtMost(memory[ours], 60e6),
			Ours: kit.MB(memory[ours]), Floor: kit.MB(memory[theFloor]),
			Note: fmt.Sprintf("resident, %s after the first response", idleFor),
		},
		{
			Work: "size of the binary", Goal: "≤ 60 MB", Met: kit.AtMost(float64(file.Size()), 60e6),
			Ours: kit.MB(float64(file.Size())), Note: "as `make build` makes it",
		},
	}, nil
}

// startServer starts the server on a database that does not exist yet, and returns how long it took
// until it responded.
func startServer(ctx context.Context, lab *kit.Lab) (*kit.Process, time.Duration, error) {
	dir, err := lab.Dir()
	if err != nil {
		return nil, 0, err
	}
	s, err := lab.Spawn(ctx, "sqlite:"+filepath.Join(dir, "rollcall.db"))
	if err != nil {
		return nil, 0, err
	}
	err = s.AwaitAnswer(ctx, s.Address, "/healthz")
	return s.Process, time.Since(s.Started), err
}

func startFloor(ctx context.Context, lab *kit.Lab) (*kit.Process, time.Duration, error) {
	f, err := lab.StartFloor("nothing")
	if err != nil {
		return nil, 0, err
	}
	err = f.AwaitAnswer(ctx, f.Address, "/healthz")
	return f.Process, time.Since(f.Started), err
}

func idleMemory(ctx context.Context, lab *kit.Lab, begin func(context.Context, *kit.Lab) (*kit.Process, time.Duration, error)) (float64, error) {
	p, _, err := begin(ctx, lab)
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	select {
	case <-time.After(kit.Pick(lab, idleFor, idleFor/10)):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	rss, err := p.RSS()
	return float64(rss), err
}
