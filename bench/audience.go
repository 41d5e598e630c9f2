//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/bench/kit"
)

// audience is a program and its subscribers.
type audience struct {
	name    string
	process *kit.Process
	debug   kit.Debug
	swarm   *kit.SwarmAgent
	round   kit.Round
}

// deliveries are the measurements of a slice of rows 6 and 7.
type deliveries struct {
	*kit.Deliveries
	server      time.Duration
	allocations int64
}

// The figures of a slice.
func (s deliveries) perSecond() float64   { return s.PerSecond() }
func (s deliveries) cpu() float64         { return float64(s.server) / float64(s.Count) }
func (s deliveries) allocated() float64   { return float64(s.allocations) / float64(s.Count) }
func (s deliveries) p50latency() float64  { return float64(s.P50) }
func (s deliveries) p99latency() float64  { return float64(s.P99) }
func (s deliveries) messageSize() float64 { return float64(s.MessageBytes) }

// slice makes changes for a second.
func (a audience) slice(ctx context.Context) (s deliveries, err error) {
	allocated, err := a.debug.Allocations(ctx)
	if err != nil {
		return s, err
	}
	before, err := a.process.CPU()
	if err != nil {
		return s, err
	}
	if s.Deliveries, err = a.swarm.Play(ctx, &a.round); err != nil {
		return s, fmt.Errorf("%s: %w", a.name, err)
	}
	after, err := a.process.CPU()
	if err != nil {
		return s, err
	}
	s.server = after - before
	s.allocations, err = a.debug.Allocations(ctx)
	s.allocations -= allocated
	return s, err
}

// broadcastTest has the parameters in which rows 6 and 7 differ.
type broadcastTest struct {
	lab         *kit.Lab
	subscribers int
	// actors is how many users change their status at once. If it is 0, one user connects and
	// disconnects.
	actors int
	rounds int
	// profiled is the name of the server's profile. If it is "", no profile is written.
	profiled string
}

// run subscribes all devices to the server, the floor and the comparator, and measures them in
// shuffled slices.
func (t broadcastTest) run(ctx context.Context) ([][]deliveries, error) {
	world, tokens, err := t.world(ctx)
	if err != nil {
		return nil, err
	}
	mine, stop, err := t.serve(ctx, world, tokens)
	if err != nil {
		return nil, err
	}
	defer stop()
	first, err := mine.slice(ctx)
	if err != nil {
		return nil, err
	}
	floor, err := t.lab.StartFloor("broadcast", "-size", fmt.Sprint(first.MessageBytes))
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	bare := audience{name: "the floor", process: floor.Process, debug: floor.Debug}
	bare.round = kit.Round{For: mine.round.For, Address: floor.Address, Burst: t.actors > 0, Events: t.actors}
	bare.swarm, err = t.gather(ctx, &kit.Crowd{Address: floor.Address, Path: "/socket", Tokens: make([]string, t.subscribers)})
	if err != nil {
		return nil, err
	}
	defer bare.swarm.Stop()
	stock, err := t.lab.StartStock(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	defer stock.Stop()
	theirs, err := t.speak(ctx, audience{name: "the comparator", process: stock.Process, debug: stock.Debug}, stock.Address, tokens)
	if err != nil {
		return nil, err
	}
	defer theirs.swarm.Stop()

	t.lab.Log("measuring")
	var programs []func() (deliveries, error)
	for _, a := range []audience{mine, bare, theirs} {
		programs = append(programs, func() (deliveries, error) { return a.slice(ctx) })
	}
	rounds, err := kit.Rounds(ctx, kit.Pick(t.lab, t.rounds, 2), programs...)
	if err != nil || t.lab.Profiles == "" || t.profiled == "" {
		return rounds, err
	}
	return rounds, profile(ctx, t.lab, t.profiled, mine.debug, func(d time.Duration) error {
		round := mine.round
		round.For = d
		_, err := mine.swarm.Play(ctx, &round)
		return err
	})
}

// world returns the world of the test and tokens of all subscribers and the users they watch.
func (t broadcastTest) world(ctx context.Context) (*kit.World, []string, error) {
	world, err := t.lab.Strangers(ctx)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := world.UserTokens(ctx, t.subscribers+max(1, t.actors))
	return world, tokens, err
}

// serve starts the server and subscribes all devices to it.
func (t broadcastTest) serve(ctx context.Context, world *kit.World, tokens []string) (a audience, stop func(), err error) {
	server, err := t.lab.Serve(ctx, world.Database)
	if err != nil {
		return a, nil, err
	}
	a, err = t.speak(ctx, audience{name: "the server", process: server.Process, debug: server.Debug}, server.Address, tokens)
	if err != nil {
		server.Stop()
		return a, nil, err
	}
	return a, func() { a.swarm.Stop(); server.Stop() }, nil
}

// speak subscribes the devices to a program that implements GraphQL.
func (t broadcastTest) speak(ctx context.Context, a audience, address string, tokens []string) (audience, error) {
	watched := make([]string, max(1, t.actors))
	for i := range watched {
		watched[i] = fmt.Sprintf("%q", kit.UserID(t.subscribers+1+i))
	}
	crowd := &kit.Crowd{
		Address: address, Path: "/graphql", Tokens: tokens[:t.subscribers], Snapshot: true,
		Subscribe: "subscription { userStatus(ids: [" + strings.Join(watched, ", ") + "]) { userId presence customStatus changedAt } }",
	}
	a.round = kit.Round{For: kit.Pick(t.lab, time.Second, time.Second/5), Address: address}
	if t.actors > 0 {
		crowd.Actors = tokens[t.subscribers:][:t.actors]
		a.round.Burst, a.round.Events = true, t.actors
	} else {
		a.round.Device = tokens[t.subscribers]
	}
	var err error
	a.swarm, err = t.gather(ctx, crowd)
	return a, err
}

// gather opens a crowd in an agent of its own.
func (t broadcastTest) gather(ctx context.Context, crowd *kit.Crowd) (*kit.SwarmAgent, error) {
	t.lab.Log("connecting %d subscribers", len(crowd.Tokens))
	swarm, err := t.lab.StartSwarm()
	if err != nil {
		return nil, err
	}
	return swarm, swarm.Open(ctx, crowd)
}

// allOf formats a figure of every audience.
func allOf(rounds [][]deliveries, value func(deliveries) float64, write func(float64) string) string {
	texts := make([]string, len(rounds[0]))
	for i := range texts {
		texts[i] = write(kit.Median(rounds, i, value))
	}
	return strings.Join(texts, " / ")
}
