//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"rollcall/bench/kit"
)

// buildsLimit limits the time of compareBuilds.
const buildsLimit = 20 * time.Minute

// compareBuilds measures two builds of the server in the same shuffled slices, so that other load on
// the machine affects both alike, and returns a table of the first's figures divided by the
// second's. Each build has a MariaDB of its own, because their migrations may differ.
func compareBuilds(ctx context.Context, labs [2]*kit.Lab) (string, error) {
	var b strings.Builder
	b.WriteString("| row | throughput (quartiles) | CPU of the server | allocations |\n|---|---|---|---|\n")
	for _, compare := range []func(context.Context, *strings.Builder, [2]*kit.Lab) error{compareRequests, compareFanout, compareStorms} {
		if err := compare(ctx, &b, labs); err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}

// writeBuilds adds a line to the table of compareBuilds.
func writeBuilds[S any](b *strings.Builder, name string, rounds [][]S, throughput, cpu, allocations func(S) float64) {
	fmt.Fprintf(b, "| %s | %s | %s | %s / %s |\n", name, kit.Compare(rounds, 0, 1, throughput), kit.Compare(rounds, 0, 1, cpu),
		kit.Hundredths(kit.Median(rounds, 0, allocations)), kit.Hundredths(kit.Median(rounds, 1, allocations)))
}

// compareRequests compares the builds by rows 1 to 4.
func compareRequests(ctx context.Context, b *strings.Builder, labs [2]*kit.Lab) error {
	var servers, embedded [2]*kit.Server
	var worlds, files [2]*kit.World
	var tokens, fileTokens [2]string
	for i, lab := range labs {
		var err error
		if worlds[i], err = friendlyWorld(ctx, lab); err != nil {
			return err
		}
		if servers[i], tokens[i], err = serveWorld(ctx, lab, worlds[i]); err != nil {
			return err
		}
		defer servers[i].Stop()
		if files[i], err = fileWorld(ctx, lab); err != nil {
			return err
		}
		if embedded[i], fileTokens[i], err = serveWorld(ctx, lab, files[i]); err != nil {
			return err
		}
		defer embedded[i].Stop()
	}
	for _, c := range []struct {
		name        string
		connections int
		operation   func(*kit.World) operation
		sqlite      bool
	}{
		{"1 `user-http`, 32 connections", 32, readUser, false},
		{"1 `user-http`, 4 connections", 4, readUser, false},
		{"2 `permission`", 32, decide, false},
		{"3 `friend-page`", 32, readFriends, false},
		{"4 `add-friend`, MariaDB", 32, func(w *kit.World) operation { return befriend(w, 0, 1) }, false},
		{"4 `add-friend`, SQLite", 32, func(w *kit.World) operation { return befriend(w, 0, 1) }, true},
	} {
		labs[0].Log("%s", c.name)
		var contenders []contender
		for i := range labs {
			if c.sqlite {
				contenders = append(contenders, contenderServer(embedded[i], fileTokens[i], c.operation(files[i])))
			} else {
				contenders = append(contenders, contenderServer(servers[i], tokens[i], c.operation(worlds[i])))
			}
		}
		rounds, err := contest{lab: labs[0], connections: c.connections, rounds: 15, contenders: contenders}.run(ctx)
		if err != nil {
			return err
		}
		writeBuilds(b, c.name, rounds, perSecond, serverCPU, allocations)
	}
	return nil
}

// serveWorld starts the lab's server on the world.
func serveWorld(ctx context.Context, lab *kit.Lab, w *kit.World) (*kit.Server, string, error) {
	s, err := lab.Serve(ctx, w.Database)
	if err != nil {
		return nil, "", err
	}
	token, err := w.AppToken(ctx, s)
	return s, token, err
}

// fileWorld makes a world in a file of SQLite for add-friend.
func fileWorld(ctx context.Context, lab *kit.Lab) (*kit.World, error) {
	dir, err := lab.Dir()
	if err != nil {
		return nil, err
	}
	w, err := lab.NewWorld(ctx, "sqlite:"+filepath.Join(dir, "rollcall.db"), 10_000)
	if err != nil {
		return nil, err
	}
	return w, w.Befriend(ctx, 4)
}

// compareFanout compares the builds by rows 6 and 7.
func compareFanout(ctx context.Context, b *strings.Builder, labs [2]*kit.Lab) error {
	for _, c := range []struct {
		name                string
		subscribers, actors int
	}{{"6 `fanout`", 5_000, 0}, {"7 `burst`", 5_000, 10}} {
		var slices []func() (deliveries, error)
		var stops []func()
		for _, lab := range labs {
			t := broadcastTest{lab: lab, subscribers: kit.Pick(lab, c.subscribers, 200), actors: c.actors}
			world, tokens, err := t.world(ctx)
			if err != nil {
				return err
			}
			a, stop, err := t.serve(ctx, world, tokens)
			if err != nil {
				return err
			}
			stops = append(stops, stop)
			slices = append(slices, func() (deliveries, error) { return a.slice(ctx) })
		}
		labs[0].Log("%s", c.name)
		rounds, err := kit.Rounds(ctx, kit.Pick(labs[0], 13, 2), slices...)
		for _, stop := range stops {
			stop()
		}
		if err != nil {
			return err
		}
		writeBuilds(b, c.name, rounds, deliveries.perSecond, deliveries.cpu, deliveries.allocated)
	}
	return nil
}

// compareStorms compares the builds by row 8.
func compareStorms(ctx context.Context, b *strings.Builder, labs [2]*kit.Lab) error {
	var slices []func() (stormSlice, error)
	for _, lab := range labs {
		n := kit.Pick(lab, 5_000, 200)
		world, err := lab.Strangers(ctx)
		if err != nil {
			return err
		}
		tokens, err := world.UserTokens(ctx, n)
		if err != nil {
			return err
		}
		server, err := lab.Serve(ctx, world.Database)
		if err != nil {
			return err
		}
		defer server.Stop()
		swarm, err := lab.StartSwarm()
		if err != nil {
			return err
		}
		defer swarm.Stop()
		g := stormOf(ctx, lab, swarm, server, tokens)
		slices = append(slices, func() (stormSlice, error) { return g.storm(ctx) })
	}
	labs[0].Log("storm")
	rounds, err := kit.Rounds(ctx, kit.Pick(labs[0], 9, 2), slices...)
	if err != nil {
		return err
	}
	writeBuilds(b, "8 `storm`", rounds, stormSlice.perSecond, stormSlice.cpu, stormSlice.allocated)
	return nil
}

// runBuilds compares the lab's build with another one and prints the table.
func runBuilds(ctx context.Context, lab *kit.Lab, against string) error {
	other, err := kit.NewLab()
	if err != nil {
		return err
	}
	defer other.Close()
	other.Short, other.Binary = lab.Short, against
	lab.Log = logSince(time.Now(), "build")
	other.Log = logSince(time.Now(), "other build")
	ctx, cancel := context.WithTimeout(ctx, buildsLimit)
	defer cancel()
	table, err := compareBuilds(ctx, [2]*kit.Lab{lab, other})
	fmt.Println(table)
	return err
}
