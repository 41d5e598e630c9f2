//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/bench/kit"
)

// userHTTP is row 1: user(id) over HTTP, of 100 000 users on MariaDB. It is compared with a handler
// that executes one prepared query per request, and with stock gqlgen and GORM. All get the same
// requests.
var userHTTP = row{name: "user-http", number: 1, run: runUserHTTP}

// readUser reads random users.
func readUser(w *kit.World) operation {
	return newOperation(
		`query($id: ID!){ user(id:$id){ id name avatarUrl } }`,
		func() (string, []byte) {
			id := kit.UserID(1 + rand.IntN(w.Users))
			return `{"id":"` + id + `"}`, []byte(`"id":"` + id + `"`)
		})
}

func runUserHTTP(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := lab.World(ctx, kit.Pick(lab, 100_000, 2_000))
	if err != nil {
		return nil, err
	}
	r, err := rivals(ctx, lab, world, "user", false)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	var figures []kit.Figure
	for _, c := range []struct {
		connections int
		goal        float64
	}{{32, 1.1}, {4, 0.85}} {
		lab.Log("%d connections", c.connections)
		contest := contest{lab: lab, connections: c.connections, rounds: 11, database: true, contenders: r.contenders(readUser(world))}
		if err := contest.agree(ctx); err != nil {
			return nil, err
		}
		rounds, err := contest.run(ctx)
		if err != nil {
			return nil, err
		}
		figures = append(figures, contest.figure(rounds, fmt.Sprintf("`user(id)` over HTTP, %d connections", c.connections), c.goal, ""))
		if err := contest.profile(ctx, fmt.Sprintf("user-http-%d", c.connections)); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// profile takes a profile of the server under the contest's load.
func (c contest) profile(ctx context.Context, name string) error {
	if c.lab.Profiles == "" {
		return nil
	}
	load, err := c.contenders[ours].dial(c.connections)
	if err != nil {
		return err
	}
	defer load.Close()
	return profile(ctx, c.lab, name, c.contenders[ours].debug, func(d time.Duration) error {
		_, err := load.Run(d)
		return err
	})
}
