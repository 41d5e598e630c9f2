//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/bench/kit"
)

// fanout is row 6: one status change to 10 000 subscribers, each another user's
// device with userStatus of the one who comes and goes, against a broadcast of
// prepared bytes of the same length with gorilla/websocket.
var fanout = row{name: "fanout", number: 6, run: runFanout}

// fanoutSlice is a slice of row 6.
type fanoutSlice struct {
	*kit.Deliveries
	server time.Duration
}

func runFanout(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	n := kit.Pick(lab, 10_000, 200)
	world, err := lab.World(ctx, 0)
	if err != nil {
		return nil, err
	}
	tokens, err := world.UserTokens(ctx, n+1)
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	lab.Log("connecting %d subscribers to each program", n)
	mine := fanoutProgram{name: "the server", process: server.Process, round: kit.Round{
		For:    kit.Pick(lab, time.Second, time.Second/5),
		Device: tokens[n], Address: server.Address,
	}}
	mine.swarm, err = gather(ctx, lab, &kit.Crowd{
		Address: server.Address, Path: "/graphql", Tokens: tokens[:n], Snapshot: true,
		Subscribe: fmt.Sprintf("subscription { userStatus(ids: [%q]) { userId presence customStatus changedAt } }", kit.UserID(n+1)),
	})
	if err != nil {
		return nil, err
	}
	defer mine.swarm.Stop()
	first, err := mine.slice(ctx)
	if err != nil {
		return nil, err
	}

	floor, err := lab.StartFloor("broadcast", "-size", fmt.Sprint(first.MessageBytes))
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	theirs := fanoutProgram{name: "the floor", process: floor.Process, round: kit.Round{For: mine.round.For, Address: floor.Address}}
	theirs.swarm, err = gather(ctx, lab, &kit.Crowd{Address: floor.Address, Path: "/socket", Tokens: make([]string, n)})
	if err != nil {
		return nil, err
	}
	defer theirs.swarm.Stop()

	lab.Log("measuring")
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 15, 3),
		func() (fanoutSlice, error) { return mine.slice(ctx) },
		func() (fanoutSlice, error) { return theirs.slice(ctx) })
	if err != nil {
		return nil, err
	}
	if lab.Profiles != "" {
		err = profile(ctx, lab, "fanout", server.Debug, func(d time.Duration) error {
			round := mine.round
			round.For = d
			_, err := mine.swarm.Play(ctx, &round)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return fanoutFigures(rounds, n, first.MessageBytes), nil
}

// gather opens a crowd in an agent of its own.
func gather(ctx context.Context, lab *kit.Lab, crowd *kit.Crowd) (*kit.SwarmAgent, error) {
	swarm, err := lab.StartSwarm()
	if err != nil {
		return nil, err
	}
	return swarm, swarm.Open(ctx, crowd)
}

// fanoutProgram is one of the two programs with its subscribers.
type fanoutProgram struct {
	name    string
	process *kit.Process
	swarm   *kit.SwarmAgent
	round   kit.Round
}

func (p fanoutProgram) slice(ctx context.Context) (s fanoutSlice, err error) {
	before, err := p.process.CPU()
	if err != nil {
		return s, err
	}
	if s.Deliveries, err = p.swarm.Play(ctx, &p.round); err != nil {
		return s, fmt.Errorf("%s: %w", p.name, err)
	}
	after, err := p.process.CPU()
	s.server = after - before
	return s, err
}

func fanoutFigures(rounds [][]fanoutSlice, subscribers, size int) []kit.Figure {
	perSecond := func(s fanoutSlice) float64 { return s.PerSecond() }
	server := func(s fanoutSlice) float64 { return float64(s.server) / float64(s.Count) }
	p50 := func(s fanoutSlice) float64 { return float64(s.P50) }
	p99 := func(s fanoutSlice) float64 { return float64(s.P99) }
	return []kit.Figure{
		{
			Work: fmt.Sprintf("one change to %d subscribers: deliveries/s", subscribers), Goal: "≥ 0.9",
			Ours:  fmt.Sprintf("%.0f/s", kit.Median(rounds, ours, perSecond)),
			Floor: fmt.Sprintf("%.0f/s", kit.Median(rounds, theFloor, perSecond)),
			Ratio: kit.Compare(rounds, ours, theFloor, perSecond).String(),
			CPU:   kit.Micros(kit.Median(rounds, ours, server)) + " / " + kit.Micros(kit.Median(rounds, theFloor, server)),
			Note:  fmt.Sprintf("messages of %d bytes", size),
		},
		{
			Work: "the same: p99 from cause to delivery", Goal: "≤ 1.3",
			Ours:  kit.Millis(kit.Median(rounds, ours, p99)),
			Floor: kit.Millis(kit.Median(rounds, theFloor, p99)),
			Ratio: kit.Compare(rounds, ours, theFloor, p99).String(),
			Note:  fmt.Sprintf("p50 %s / %s", kit.Millis(kit.Median(rounds, ours, p50)), kit.Millis(kit.Median(rounds, theFloor, p50))),
		},
	}
}
