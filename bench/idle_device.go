//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"rollcall/bench/kit"
)

// idleDevice is row 5: the memory of a device that is authenticated, has subscribed to
// statusChanged and then receives nothing. There are 10 000, each of another user. The floor is
// bare WebSockets of gorilla/websocket.
var idleDevice = row{name: "idle-device", number: 5, run: runIdleDevice}

func runIdleDevice(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := lab.Strangers(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := world.UserTokens(ctx, kit.Pick(lab, 10_000, 200))
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	ours, err := weigh(ctx, lab, server.Process, server.Debug, &kit.Crowd{
		Address:   server.Address,
		Path:      "/graphql",
		Tokens:    tokens,
		Subscribe: "subscription { statusChanged { userId presence customStatus changedAt } }",
	}, func() error { return server.Await(ctx, "rollcall_subscriptions", float64(len(tokens))) })
	if err != nil {
		return nil, err
	}
	floor, err := lab.StartFloor("broadcast")
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	theirs, err := weigh(ctx, lab, floor.Process, floor.Debug,
		&kit.Crowd{Address: floor.Address, Path: "/socket", Tokens: make([]string, len(tokens))},
		func() error { return nil })
	if err != nil {
		return nil, err
	}
	return []kit.Figure{
		{
			Work: fmt.Sprintf("an idle device's memory, of %d", len(tokens)), Goal: "≤ 10 KB", Met: kit.AtMost(ours.rss, 10_000),
			Ours: kit.KB(ours.rss), Floor: kit.KB(theirs.rss), Ratio: fmt.Sprintf("%.2f", ours.rss/theirs.rss),
			Note: fmt.Sprintf("resident; of it live heap %s / %s, stacks %s / %s",
				kit.KB(ours.heap), kit.KB(theirs.heap), kit.KB(ours.stacks), kit.KB(theirs.stacks)),
		},
		{
			Work: "an idle device's goroutines", Goal: "1", Met: kit.AtMost(ours.goroutines, 1.01),
			Ours: fmt.Sprintf("%.2f", ours.goroutines), Floor: fmt.Sprintf("%.2f", theirs.goroutines),
		},
	}, nil
}

// weight is what one device adds to a program.
type weight struct{ rss, heap, stacks, goroutines float64 }

// weigh compares a program at rest before and after a crowd has connected. arrived waits until the
// program has processed all of it.
func weigh(ctx context.Context, lab *kit.Lab, p *kit.Process, d kit.Debug, crowd *kit.Crowd, arrived func() error) (weight, error) {
	before, err := kit.Settle(ctx, p, d)
	if err != nil {
		return weight{}, err
	}
	lab.Log("connecting %d devices", len(crowd.Tokens))
	swarm, err := lab.StartSwarm()
	if err != nil {
		return weight{}, err
	}
	defer swarm.Stop()
	if err := swarm.Open(ctx, crowd); err != nil {
		return weight{}, err
	}
	if err := arrived(); err != nil {
		return weight{}, err
	}
	after, err := kit.Settle(ctx, p, d)
	if err != nil {
		return weight{}, err
	}
	if lab.Profiles != "" && crowd.Subscribe != "" {
		if err := d.Snapshot(ctx, "heap", filepath.Join(lab.Profiles, "idle-device.heap.pprof")); err != nil {
			return weight{}, err
		}
	}
	n := float64(len(crowd.Tokens))
	return weight{
		rss:        float64(after.RSS-before.RSS) / n,
		heap:       float64(after.Heap-before.Heap) / n,
		stacks:     float64(after.Stacks-before.Stacks) / n,
		goroutines: float64(after.Goroutines-before.Goroutines) / n,
	}, nil
}
