//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/bench/kit"
)

// storm is row 8: 10 000 devices of as many users connect as fast as they can, authenticate and
// subscribe to statusChanged. The floor upgrades as many WebSockets with gorilla/websocket.
var storm = row{name: "storm", number: 8, run: runStorm}

// stormSlice is one storm.
type stormSlice struct {
	devices      int
	took, server time.Duration
	queries      int
	allocations  int64
}

func (s stormSlice) perSecond() float64 { return float64(s.devices) / s.took.Seconds() }
func (s stormSlice) cpu() float64       { return float64(s.server) / float64(s.devices) }
func (s stormSlice) asked() float64     { return float64(s.queries) / float64(s.devices) }
func (s stormSlice) allocated() float64 { return float64(s.allocations) / float64(s.devices) }

func runStorm(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	n := kit.Pick(lab, 10_000, 200)
	world, err := lab.Strangers(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := world.UserTokens(ctx, n)
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	floor, err := lab.StartFloor("upgrade")
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	swarm, err := lab.StartSwarm()
	if err != nil {
		return nil, err
	}
	defer swarm.Stop()
	mine := stormOf(ctx, lab, swarm, server, tokens)
	bare := gathering{
		lab: lab, swarm: swarm, process: floor.Process, debug: floor.Debug,
		crowd: &kit.Crowd{Address: floor.Address, Path: "/socket", Tokens: make([]string, n)},
		there: func(n int) error {
			if n > 0 {
				return nil // a device that got a response is connected
			}
			return awaitRest(ctx, floor.Debug)
		},
		rest: func() error { return lab.Quiet(ctx) },
	}
	lab.Log("measuring")
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 7, 2),
		func() (stormSlice, error) { return mine.storm(ctx) },
		func() (stormSlice, error) { return bare.storm(ctx) })
	if err != nil {
		return nil, err
	}
	if lab.Profiles != "" {
		err = profile(ctx, lab, "storm", server.Debug, func(length time.Duration) error {
			for begin := time.Now(); time.Since(begin) < length; {
				if _, err := mine.storm(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	ratio := kit.Compare(rounds, ours, theFloor, stormSlice.perSecond)
	asked := kit.Median(rounds, ours, stormSlice.asked)
	return []kit.Figure{
		{
			Work: fmt.Sprintf("%d devices connect, authenticate and subscribe", n), Goal: "≥ 0.7", Met: kit.AtLeast(ratio.Median, 0.7),
			Ours:  fmt.Sprintf("%.0f/s", kit.Median(rounds, ours, stormSlice.perSecond)),
			Floor: fmt.Sprintf("%.0f/s", kit.Median(rounds, theFloor, stormSlice.perSecond)),
			Ratio: ratio.String(),
			CPU: kit.Micros(kit.Median(rounds, ours, stormSlice.cpu)) + " / " +
				kit.Micros(kit.Median(rounds, theFloor, stormSlice.cpu)),
			Queries: kit.Hundredths(asked) + " / 0",
			Allocations: kit.Count(kit.Median(rounds, ours, stormSlice.allocated)) + " / " +
				kit.Count(kit.Median(rounds, theFloor, stormSlice.allocated)),
			Note: "no device was refused; otherwise the row fails",
		},
		{
			Work: "the same: queries a device", Goal: "≤ 2", Met: kit.AtMost(asked, 2), Ours: kit.Hundredths(asked),
			Note: "with those that make its user ONLINE durably",
		},
	}, nil
}

// gathering is a program and the crowd that connects to it.
type gathering struct {
	lab     *kit.Lab
	swarm   *kit.SwarmAgent
	process *kit.Process
	debug   kit.Debug
	crowd   *kit.Crowd
	// there waits until n devices, or none, are connected to the program.
	there func(n int) error
	// rest waits until the database has been written what follows.
	rest func() error
}

// stormOf returns the crowd that subscribes to statusChanged of a server.
func stormOf(ctx context.Context, lab *kit.Lab, swarm *kit.SwarmAgent, server *kit.Server, tokens []string) gathering {
	return gathering{
		lab: lab, swarm: swarm, process: server.Process, debug: server.Debug,
		crowd: &kit.Crowd{
			Address: server.Address, Path: "/graphql", Tokens: tokens,
			Subscribe: "subscription { statusChanged { userId presence customStatus changedAt } }",
		},
		there: func(n int) error { return server.Await(ctx, "rollcall_subscriptions", float64(n)) },
		rest:  func() error { return lab.Quiet(ctx) },
	}
}

// storm connects the crowd and disconnects it again.
func (g gathering) storm(ctx context.Context) (stormSlice, error) {
	s := stormSlice{devices: len(g.crowd.Tokens)}
	before, err := g.spent(ctx)
	if err != nil {
		return s, err
	}
	if s.took, err = g.swarm.Storm(ctx, g.crowd); err != nil {
		return s, err
	}
	last := time.Now()
	if err := g.there(s.devices); err != nil {
		return s, err
	}
	s.took += time.Since(last)
	if err := g.rest(); err != nil {
		return s, err
	}
	after, err := g.spent(ctx)
	if err != nil {
		return s, err
	}
	s.server = after.server - before.server
	s.queries = after.queries - before.queries
	s.allocations = after.allocations - before.allocations
	return s, errors.Join(g.swarm.HangUp(ctx), g.there(0), g.rest())
}

func (g gathering) spent(ctx context.Context) (s stormSlice, err error) {
	if s.allocations, err = g.debug.Allocations(ctx); err != nil {
		return s, err
	}
	if s.queries, err = g.lab.DatabaseQueries(ctx); err != nil {
		return s, err
	}
	s.server, err = g.process.CPU()
	return s, err
}

// restingGoroutines is more than the number of goroutines of a floor without connections.
const restingGoroutines = 50

// awaitRest waits until a floor has no connections.
func awaitRest(ctx context.Context, d kit.Debug) error {
	for {
		n, err := d.Goroutines(ctx)
		if err != nil || n < restingGoroutines {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
