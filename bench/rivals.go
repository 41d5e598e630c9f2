//go:build linux

package main

import (
	"context"

	"rollcall/bench/kit"
)

// rivalry is the server and the programs that it is compared with, all on one world.
type rivalry struct {
	server *kit.Server
	token  string
	// others are the floor and, if requested, the comparator: with friends read one by one, and
	// with a JOIN.
	others []*kit.Floor
}

// rivals starts the server, the floor of that name and the comparator, which reads friends in both
// ways if joined is true.
func rivals(ctx context.Context, lab *kit.Lab, world *kit.World, floor string, joined bool) (*rivalry, error) {
	r, err := duel(ctx, lab, world, floor)
	if err != nil {
		return nil, err
	}
	flags := [][]string{nil}
	if joined {
		flags = append(flags, []string{"-join"})
	}
	for _, f := range flags {
		stock, err := lab.StartStock(ctx, world.Database, f...)
		if err != nil {
			r.stop()
			return nil, err
		}
		r.others = append(r.others, stock)
	}
	return r, nil
}

// duel is rivals without the comparator.
func duel(ctx context.Context, lab *kit.Lab, world *kit.World, floor string) (*rivalry, error) {
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	r := &rivalry{server: server}
	if r.token, err = world.AppToken(ctx, server); err != nil {
		r.stop()
		return nil, err
	}
	f, err := lab.StartFloor(floor, "-database", world.Database, "-token", r.token)
	if err != nil {
		r.stop()
		return nil, err
	}
	r.others = append(r.others, f)
	return r, nil
}

// contenders returns all of them as contenders for the same operation.
func (r *rivalry) contenders(o operation) []contender {
	list := []contender{contenderServer(r.server, r.token, o)}
	for _, f := range r.others {
		list = append(list, contenderFloor(f, r.token, o))
	}
	return list
}

func (r *rivalry) stop() {
	r.server.Stop()
	for _, f := range r.others {
		f.Stop()
	}
}
