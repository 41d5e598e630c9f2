//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"rollcall/bench/kit"
)

// permission is row 2: messagePermission with every rule in use, compared with a handler with one
// hand-written statement; and messagePermissions of 500 pairs.
var permission = row{name: "permission", number: 2, run: runPermission}

// decide reads the permission of random pairs. Three of four are friends, the others strangers. See
// World.Rules for blocklists and whitelists.
func decide(w *kit.World) operation {
	return newOperation(
		`query($from: ID!, $to: ID!){ messagePermission(from: $from, to: $to){ allowed reason } }`,
		func() (string, []byte) {
			from, to := somePair(w)
			return fmt.Sprintf(`{"from":%q,"to":%q}`, from, to), []byte(`"allowed":`)
		})
}

// decideMany reads the permissions of the maximum number of pairs in a request.
func decideMany(w *kit.World) operation {
	return newOperation(
		`query($pairs: [MessagePair!]!){ messagePermissions(pairs: $pairs){ allowed reason } }`,
		func() (string, []byte) {
			pairs := make([]string, pairsAtOnce)
			for i := range pairs {
				from, to := somePair(w)
				pairs[i] = fmt.Sprintf(`{"from":%q,"to":%q}`, from, to)
			}
			return `{"pairs":[` + strings.Join(pairs, ",") + `]}`, []byte(`"allowed":`)
		})
}

const pairsAtOnce = 500

func somePair(w *kit.World) (from, to string) {
	n := rand.IntN(w.Users)
	step := 1 + rand.IntN(w.Users-1)
	if rand.IntN(4) > 0 {
		step = 1 + rand.IntN(w.Friends/2)
	}
	return kit.UserID(1 + n), kit.UserID(1 + (n+step)%w.Users)
}

func runPermission(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := friendlyWorld(ctx, lab)
	if err != nil {
		return nil, err
	}
	r, err := duel(ctx, lab, world, "permission")
	if err != nil {
		return nil, err
	}
	defer r.stop()
	lab.Log("measuring")
	single := contest{lab: lab, connections: 32, rounds: 13, database: true, contenders: r.contenders(decide(world))}
	if err := single.agree(ctx); err != nil {
		return nil, err
	}
	rounds, err := single.run(ctx)
	if err != nil {
		return nil, err
	}
	if err := single.profile(ctx, "permission"); err != nil {
		return nil, err
	}
	many := contest{lab: lab, connections: 4, rounds: 3, database: true, contenders: r.contenders(decideMany(world))[:1]}
	batches, err := many.run(ctx)
	if err != nil {
		return nil, err
	}
	return []kit.Figure{
		single.figure(rounds, "`messagePermission`, all rules on, 32 connections", 1.1),
		{
			Work: "the same: queries a decision", Goal: "≤ 1", Met: kit.AtMost(kit.Median(rounds, ours, queries), 1),
			Ours: kit.Hundredths(kit.Median(rounds, ours, queries)), Floor: kit.Hundredths(kit.Median(rounds, theFloor, queries)),
			Note: "with those of authentication",
		},
		{
			Work: fmt.Sprintf("`messagePermissions` of %d pairs: queries", pairsAtOnce), Goal: "≤ 3", Met: kit.AtMost(kit.Median(batches, ours, queries), 3),
			Ours: kit.Hundredths(kit.Median(batches, ours, queries)), CPU: all(batches, serverCPU, kit.Micros), Allocations: all(batches, allocations, kit.Count),
			Note: fmt.Sprintf("%.0f batches/s over 4 connections", kit.Median(batches, ours, perSecond)),
		},
	}, nil
}

// friendlyWorld returns the shared world, in which every user has friends and some have lists.
func friendlyWorld(ctx context.Context, lab *kit.Lab) (*kit.World, error) {
	world, err := lab.World(ctx, kit.Pick(lab, 100_000, 2_000))
	if err != nil {
		return nil, err
	}
	if err := world.Befriend(ctx, pageSize); err != nil {
		return nil, err
	}
	return world, world.Rules(ctx)
}
