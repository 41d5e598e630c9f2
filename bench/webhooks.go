//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"rollcall/bench/kit"
)

// webhookChanges is row 13: 1000 changes a second while an App Server receives their events, or does
// not respond. Its floor is the same server without an endpoint.
var webhookChanges = row{name: "webhooks", number: 13, run: runWebhooks}

const (
	// changesPerSecond is the rate of changes, over changeConnections connections.
	changesPerSecond  = 1000
	changeConnections = 64
	// eventsOfChange is how many events a friendship has: one for each of its users.
	eventsOfChange = 2
	// arrivalTimeout is how long an event may take before it counts as lost.
	arrivalTimeout = time.Minute
)

// appServer receives events and counts them.
type appServer struct {
	url    string
	silent bool // it never responds

	mu  sync.Mutex
	ids map[string]bool
}

// startAppServer starts an App Server that runs until ctx ends.
func startAppServer(ctx context.Context, silent bool) (*appServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &appServer{url: "http://" + listener.Addr().String(), silent: silent, ids: make(map[string]bool)}
	server := &http.Server{Handler: a}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *appServer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if a.silent {
		<-r.Context().Done()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[r.Header.Get("webhook-id")] = true
}

func (a *appServer) arrived() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids)
}

// await waits until n different events have arrived, for at most arrivalTimeout.
func (a *appServer) await(ctx context.Context, n int) error {
	for end := time.Now().Add(arrivalTimeout); a.arrived() < n && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// changeSlice is a slice of changes.
type changeSlice struct {
	httpSlice
	// lag is how long after the last change the last event has arrived.
	lag time.Duration
}

// The programs of this row.
const (
	attended = iota // with an App Server that responds at once
	alone           // without an endpoint
	ignored         // with an App Server that never responds
)

func runWebhooks(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quick, err := startAppServer(ctx, false)
	if err != nil {
		return nil, err
	}
	silent, err := startAppServer(ctx, true)
	if err != nil {
		return nil, err
	}
	c := contest{lab: lab, database: true}
	changes := 0 // of the attended server
	measures := make([]func() (changeSlice, error), 3)
	for program, receiver := range []*appServer{attended: quick, alone: nil, ignored: silent} {
		one, err := changing(ctx, lab, receiver)
		if err != nil {
			return nil, err
		}
		defer one.process.Stop()
		load, err := one.dial(changeConnections)
		if err != nil {
			return nil, err
		}
		defer load.Close()
		measures[program] = func() (changeSlice, error) {
			s, err := c.sliceAt(ctx, one, load)
			if err != nil || program != attended {
				return s, err
			}
			changes += s.Requests
			began := time.Now()
			err = quick.await(ctx, eventsOfChange*changes)
			s.lag = time.Since(began)
			return s, err
		}
	}
	lab.Log("%d changes a second", changesPerSecond)
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 11, 2), measures...)
	if err != nil {
		return nil, err
	}
	events := eventsOfChange * changes
	lost := events - quick.arrived()
	return []kit.Figure{
		changeFigure(rounds, attended, "with an App Server that responds at once"),
		changeFigure(rounds, ignored, "with an App Server that never responds"),
		{
			Work: "the events that have not arrived", Goal: "0", Met: kit.AtMost(float64(lost), 0), Ours: fmt.Sprint(lost),
			Note: fmt.Sprintf("of %d; the last one of a slice arrives %s after its last change", events,
				kit.Millis(kit.Median(rounds, attended, func(s changeSlice) float64 { return float64(s.lag) }))),
		},
	}, nil
}

// changing starts a server on a world of its own, whose events a receiver gets, or none if it is nil.
func changing(ctx context.Context, lab *kit.Lab, receiver *appServer) (contender, error) {
	database, err := lab.Database(ctx)
	if err != nil {
		return contender{}, err
	}
	world, err := lab.NewWorld(ctx, database, kit.Pick(lab, 20_000, 2_000))
	if err != nil {
		return contender{}, err
	}
	server, err := lab.Serve(ctx, world.Database)
	if err != nil {
		return contender{}, err
	}
	if receiver != nil {
		if err := world.Webhook(ctx, receiver.url); err != nil {
			return contender{}, err
		}
	}
	token, err := world.AppToken(ctx, server)
	return contenderServer(server, token, befriend(world, 0, 1)), err
}

// sliceAt sends changes to a contender for a second.
func (c contest) sliceAt(ctx context.Context, one contender, load *kit.HTTPLoad) (s changeSlice, err error) {
	before, err := c.spent(ctx, one)
	if err != nil {
		return s, err
	}
	sample, err := load.RunAt(changesPerSecond, kit.Pick(c.lab, time.Second, time.Second/5))
	if err != nil {
		return s, one.process.Wrap(err)
	}
	s.httpSlice, err = c.since(ctx, one, before, sample)
	return s, err
}

// changeFigure compares the latency of changes with that without an endpoint.
func changeFigure(rounds [][]changeSlice, program int, work string) kit.Figure {
	p50 := func(s changeSlice) float64 { return float64(s.P50) }
	p99 := func(s changeSlice) float64 { return float64(s.P99) }
	both := func(value func(changeSlice) float64, write func(float64) string) string {
		return write(kit.Median(rounds, program, value)) + " / " + write(kit.Median(rounds, alone, value))
	}
	ratio := kit.Compare(rounds, program, alone, p50)
	return kit.Figure{
		Work:        fmt.Sprintf("`addFriend`, MariaDB, %d/s, %s: the median of its time", changesPerSecond, work),
		Goal:        "≤ 1.10 times without an endpoint",
		Met:         kit.AtMost(ratio.Median, 1.1),
		Ours:        kit.Millis(kit.Median(rounds, program, p50)),
		Floor:       kit.Millis(kit.Median(rounds, alone, p50)),
		Ratio:       ratio.String(),
		CPU:         both(func(s changeSlice) float64 { return serverCPU(s.httpSlice) }, kit.Micros),
		Queries:     both(func(s changeSlice) float64 { return queries(s.httpSlice) }, kit.Hundredths),
		Allocations: both(func(s changeSlice) float64 { return allocations(s.httpSlice) }, kit.Count),
		Note: "p99 " + both(p99, kit.Millis) + ", ratio " + kit.Compare(rounds, program, alone, p99).String() +
			"; MariaDB's CPU " + both(func(s changeSlice) float64 { return databaseCPU(s.httpSlice) }, kit.Micros),
	}
}
