//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"rollcall/bench/kit"
)

// friendPage is row 3: a page of 50 friends with profile and status. It is compared with one
// hand-written JOIN, and with stock gqlgen and GORM, both with a query for each friend and with a
// JOIN.
var friendPage = row{name: "friend-page", number: 3, run: runFriendPage}

// pageSize is the number of friends on a page and of each user in the shared world.
const pageSize = 50

// readFriends reads the first page of random users.
func readFriends(w *kit.World) operation {
	return newOperation(
		fmt.Sprintf(`query($id: ID!){ user(id:$id){ friends(first: %d){ nodes { createdAt remark user { id name avatarUrl status { presence customStatus changedAt } } } } } }`, pageSize),
		func() (string, []byte) {
			n := rand.IntN(w.Users)
			return `{"id":"` + kit.UserID(1+n) + `"}`, []byte(`"id":"` + kit.UserID(1+(n+1)%w.Users) + `"`)
		})
}

func runFriendPage(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := friendlyWorld(ctx, lab)
	if err != nil {
		return nil, err
	}
	r, err := rivals(ctx, lab, world, "friend-page", true)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	lab.Log("measuring")
	c := contest{lab: lab, connections: 32, rounds: 11, database: true, contenders: r.contenders(readFriends(world))}
	if err := c.agree(ctx); err != nil {
		return nil, err
	}
	rounds, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	figures := []kit.Figure{
		c.figure(rounds, fmt.Sprintf("a page of %d friends with profile and status, 32 connections", pageSize), 0.85, "N+1", "JOIN"),
		{
			Work: "the same: queries a page", Goal: "≤ 2", Met: kit.AtMost(kit.Median(rounds, ours, queries), 2),
			Ours: kit.Hundredths(kit.Median(rounds, ours, queries)), Floor: kit.Hundredths(kit.Median(rounds, theFloor, queries)),
			Note: "with those of authentication",
		},
	}
	return figures, c.profile(ctx, "friend-page")
}
