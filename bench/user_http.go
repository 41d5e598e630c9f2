//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"rollcall/bench/kit"
)

// userHTTP is row 1: `user(id)` over HTTP, of 100 000 users on MariaDB, against
// a handler with one prepared query a request. Both get the same requests.
var userHTTP = row{name: "user-http", number: 1, run: runUserHTTP}

// userSlice is a slice of row 1: what the load saw, and what it cost.
type userSlice struct {
	kit.HTTPSample
	server, database, generator time.Duration
	queries                     int
}

// each answers the share of one request.
func (s userSlice) each(d time.Duration) float64 { return float64(d) / float64(s.Requests) }

func runUserHTTP(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	world, err := lab.World(ctx, kit.Pick(lab, 100_000, 2_000))
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	token, err := world.AppToken(ctx, server)
	if err != nil {
		return nil, err
	}
	floor, err := lab.StartFloor("user", "-dsn", kit.DSN(world.Database), "-token", token)
	if err != nil {
		return nil, err
	}
	defer floor.Stop()

	var figures []kit.Figure
	for _, c := range []struct {
		connections int
		goal        string
	}{{32, "≥ 1.1"}, {4, "≥ 0.85"}} {
		lab.Log("%d connections", c.connections)
		ours := userProgram{lab, world, server.Process, server.Address, token, c.connections}
		theirs := userProgram{lab, world, floor.Process, floor.Address, token, c.connections}
		rounds, err := compareUsers(ctx, lab, ours, theirs)
		if err != nil {
			return nil, err
		}
		figures = append(figures, userFigure(rounds, c.connections, c.goal))
		if err := profileUsers(ctx, server.Debug, ours); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

func profileUsers(ctx context.Context, server kit.Debug, ours userProgram) error {
	if ours.lab.Profiles == "" {
		return nil
	}
	load, err := ours.dial()
	if err != nil {
		return err
	}
	defer load.Close()
	return profile(ctx, ours.lab, fmt.Sprintf("user-http-%d", ours.connections), server, func(d time.Duration) error {
		_, err := load.Run(d)
		return err
	})
}

// userProgram is one of the two programs, and how it is loaded.
type userProgram struct {
	lab         *kit.Lab
	world       *kit.World
	process     *kit.Process
	address     string
	token       string
	connections int
}

// dial opens connections that ask for random users.
func (p userProgram) dial() (*kit.HTTPLoad, error) {
	body := func(id string) string {
		return `{"query":"query($id: ID!){ user(id:$id){ id name avatarUrl } }","variables":{"id":"` + id + `"}}`
	}
	head := fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n",
		p.address, p.token, len(body(kit.UserID(1))))
	return kit.DialHTTP(p.address, p.connections, func(dst []byte) (request, want []byte) {
		id := kit.UserID(1 + rand.IntN(p.world.Users))
		return append(append(dst, head...), body(id)...), []byte(`"id":"` + id + `"`)
	})
}

func compareUsers(ctx context.Context, lab *kit.Lab, programs ...userProgram) ([][]userSlice, error) {
	var slices []func() (userSlice, error)
	for _, p := range programs {
		load, err := p.dial()
		if err != nil {
			return nil, err
		}
		defer load.Close()
		slices = append(slices, func() (userSlice, error) { return p.slice(ctx, load) })
	}
	return kit.Rounds(ctx, kit.Pick(lab, 15, 3), slices...)
}

// slice loads the program for a second.
func (p userProgram) slice(ctx context.Context, load *kit.HTTPLoad) (s userSlice, err error) {
	clocks := []struct {
		spent *time.Duration
		read  func() (time.Duration, error)
	}{
		{&s.server, p.process.CPU},
		{&s.database, p.lab.DatabaseCPU},
		{&s.generator, func() (time.Duration, error) { return kit.CPU(os.Getpid()) }},
	}
	for _, c := range clocks {
		before, err := c.read()
		if err != nil {
			return s, err
		}
		*c.spent = -before
	}
	queries, err := p.lab.DatabaseQueries(ctx)
	if err != nil {
		return s, err
	}
	if s.HTTPSample, err = load.Run(kit.Pick(p.lab, time.Second, time.Second/5)); err != nil {
		return s, err
	}
	if s.queries, err = p.lab.DatabaseQueries(ctx); err != nil {
		return s, err
	}
	s.queries -= queries
	for _, c := range clocks {
		after, err := c.read()
		if err != nil {
			return s, err
		}
		*c.spent += after
	}
	return s, nil
}

func userFigure(rounds [][]userSlice, connections int, goal string) kit.Figure {
	perSecond := func(s userSlice) float64 { return s.PerSecond() }
	server := func(s userSlice) float64 { return s.each(s.server) }
	database := func(s userSlice) float64 { return s.each(s.database) }
	generator := func(s userSlice) float64 { return s.each(s.generator) }
	queries := func(s userSlice) float64 { return float64(s.queries) / float64(s.Requests) }
	p50 := func(s userSlice) float64 { return float64(s.P50) }
	p99 := func(s userSlice) float64 { return float64(s.P99) }
	return kit.Figure{
		Work:  fmt.Sprintf("`user(id)` over HTTP, %d connections", connections),
		Goal:  goal,
		Ours:  fmt.Sprintf("%.0f requests/s", kit.Median(rounds, ours, perSecond)),
		Floor: fmt.Sprintf("%.0f requests/s", kit.Median(rounds, theFloor, perSecond)),
		Ratio: kit.Compare(rounds, ours, theFloor, perSecond).String(),
		CPU:   kit.Micros(kit.Median(rounds, ours, server)) + " / " + kit.Micros(kit.Median(rounds, theFloor, server)),
		Note: fmt.Sprintf("queries a request %.2f / %.2f; MariaDB's CPU %s / %s; the load generator's %s; p50 %s / %s, p99 %s / %s",
			kit.Median(rounds, ours, queries), kit.Median(rounds, theFloor, queries),
			kit.Micros(kit.Median(rounds, ours, database)), kit.Micros(kit.Median(rounds, theFloor, database)),
			kit.Micros(kit.Median(rounds, ours, generator)),
			kit.Millis(kit.Median(rounds, ours, p50)), kit.Millis(kit.Median(rounds, theFloor, p50)),
			kit.Millis(kit.Median(rounds, ours, p99)), kit.Millis(kit.Median(rounds, theFloor, p99))),
	}
}
