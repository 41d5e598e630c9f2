//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"rollcall/bench/kit"
)

// addFriend is row 4: two users become friends, with both limits and durably. The floor is a
// transaction of five plain statements. It runs on MariaDB and on SQLite.
var addFriend = row{name: "add-friend", number: 4, run: runAddFriend}

// befriend returns an operation that makes friends of pairs that are not friends yet. The operations
// with different values of share, of shares in all, use different pairs.
func befriend(w *kit.World, share, shares int) operation {
	// The stride is coprime with the number of users, so it visits each of them, and it keeps
	// concurrent pairs apart.
	const stride = 7919
	n := 0
	return newOperation(
		`mutation($in: AddFriendInput!){ addFriend(input: $in){ friendship { createdAt user { id } } } }`,
		func() (string, []byte) {
			first := n * stride % w.Users
			second := (first + w.Friends/2 + 1 + share + n/w.Users*shares) % w.Users
			n++
			return fmt.Sprintf(`{"in":{"userId":%q,"friendId":%q}}`, kit.UserID(1+first), kit.UserID(1+second)),
				[]byte(`"user":{"id":"` + kit.UserID(1+second) + `"}`)
		})
}

func runAddFriend(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := friendlyWorld(ctx, lab)
	if err != nil {
		return nil, err
	}
	r, err := duel(ctx, lab, world, "add-friend")
	if err != nil {
		return nil, err
	}
	defer r.stop()
	first, err := compareAddFriend(ctx, lab, true, "add-friend", "`addFriend`, MariaDB, 32 connections",
		contenderServer(r.server, r.token, befriend(world, 0, 2)), contenderFloor(r.others[0], r.token, befriend(world, 1, 2)))
	if err != nil {
		return nil, err
	}
	// Two files with the same users, because only one process may write to a file.
	var worlds [2]*kit.World
	for i := range worlds {
		dir, err := lab.Dir()
		if err != nil {
			return nil, err
		}
		if worlds[i], err = lab.NewWorld(ctx, "sqlite:"+filepath.Join(dir, "rollcall.db"), 10_000); err != nil {
			return nil, err
		}
		if err := worlds[i].Befriend(ctx, 4); err != nil {
			return nil, err
		}
	}
	server, err := lab.Serve(ctx, worlds[0].Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	token, err := worlds[0].AppToken(ctx, server)
	if err != nil {
		return nil, err
	}
	floor, err := lab.StartFloor("add-friend", "-database", worlds[1].Database, "-token", token)
	if err != nil {
		return nil, err
	}
	defer floor.Stop()
	second, err := compareAddFriend(ctx, lab, false, "add-friend-sqlite", "`addFriend`, SQLite, 32 connections",
		contenderServer(server, token, befriend(worlds[0], 0, 1)), contenderFloor(floor, token, befriend(worlds[1], 0, 1)))
	return []kit.Figure{first, second}, err
}

func compareAddFriend(ctx context.Context, lab *kit.Lab, database bool, name, work string, contenders ...contender) (kit.Figure, error) {
	lab.Log("%s", work)
	c := contest{lab: lab, connections: 32, rounds: 11, database: database, contenders: contenders}
	rounds, err := c.run(ctx)
	if err != nil {
		return kit.Figure{}, err
	}
	return c.figure(rounds, work, 1.0), c.profile(ctx, name)
}
