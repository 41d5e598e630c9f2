//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/bench/kit"
)

// growth is row 9: the work of rows 1 to 4 with 10 thousand, 100 thousand and 1 million users on
// one MariaDB, each compared with the smallest.
var growth = row{name: "growth", number: 9, run: runGrowth}

// growthFriends is how many friends each user has: a million users have 10 million friendships.
const growthFriends = 20

func runGrowth(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	sizes := kit.Pick(lab, []int{10_000, 100_000, 1_000_000}, []int{1_000, 2_000, 4_000})
	var worlds []*kit.World
	var rivals []*rivalry
	defer func() {
		for _, r := range rivals {
			r.stop()
		}
	}()
	var seeded time.Duration
	for _, users := range sizes {
		world, took, err := grow(ctx, lab, users)
		if err != nil {
			return nil, err
		}
		worlds = append(worlds, world)
		seeded = took // that of the largest
	}
	for _, world := range worlds {
		server, err := lab.Serve(ctx, world.Database)
		if err != nil {
			return nil, err
		}
		r := &rivalry{server: server}
		rivals = append(rivals, r)
		if r.token, err = world.AppToken(ctx, server); err != nil {
			return nil, err
		}
	}
	var figures []kit.Figure
	for _, work := range []struct {
		name string
		ask  func(*kit.World) operation
	}{
		{"`user(id)`", readUser},
		{"`messagePermission`", decide},
		{fmt.Sprintf("a page of %d friends", growthFriends), readFriends},
		{"`addFriend`", func(w *kit.World) operation { return befriend(w, 0, 1) }},
	} {
		lab.Log("%s", work.name)
		c := contest{lab: lab, connections: 32, rounds: 7, database: true}
		for i, world := range worlds {
			c.contenders = append(c.contenders, rivals[i].contenders(work.ask(world))...)
		}
		rounds, err := c.run(ctx)
		if err != nil {
			return nil, err
		}
		figures = append(figures, growthFigure(rounds, work.name, sizes))
	}
	figures[0].Note += fmt.Sprintf("; seeding %d users and %d friendships took %s",
		sizes[len(sizes)-1], sizes[len(sizes)-1]*growthFriends/2, seeded.Round(time.Second))
	return figures, nil
}

// grow makes a world and returns how long making its users and friendships took.
func grow(ctx context.Context, lab *kit.Lab, users int) (*kit.World, time.Duration, error) {
	database, err := lab.Database(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	world, err := lab.NewWorld(ctx, database, users)
	if err != nil {
		return nil, 0, err
	}
	if err := world.Befriend(ctx, growthFriends); err != nil {
		return nil, 0, err
	}
	took := time.Since(began)
	return world, took, world.Rules(ctx)
}

// growthFigure compares the CPU time of a request in the server and MariaDB together.
func growthFigure(rounds [][]httpSlice, work string, sizes []int) kit.Figure {
	cost := func(s httpSlice) float64 { return serverCPU(s) + databaseCPU(s) }
	var ratios, names []string
	worst := 0.0
	for i, size := range sizes {
		names = append(names, fmt.Sprint(size))
		if i > 0 {
			ratio := kit.Compare(rounds, i, 0, cost)
			ratios = append(ratios, ratio.String())
			worst = max(worst, ratio.Median)
		}
	}
	last := len(sizes) - 1
	return kit.Figure{
		Work: work + " with " + strings.Join(names, " / ") + " users: CPU of the server and MariaDB, largest and smallest",
		Goal: "≤ 1.3 times the smallest", Met: kit.AtMost(worst, 1.3),
		Ours: kit.Micros(kit.Median(rounds, last, cost)), Floor: kit.Micros(kit.Median(rounds, 0, cost)),
		Ratio: strings.Join(ratios, ", "),
		// All three are ours, by size.
		CPU: all(rounds, serverCPU, kit.Micros) + ", by size", Queries: all(rounds, queries, kit.Hundredths), Allocations: all(rounds, allocations, kit.Count),
		Note: "requests/s " + all(rounds, perSecond, kit.Count) + "; MariaDB's CPU " + all(rounds, databaseCPU, kit.Micros),
	}
}
