//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/bench/kit"
)

// nodes is row 12: rows 5, 6 and 8 with two nodes that share a Redis server, compared with one node
// without Redis. The devices that receive a change are connected to one node, and the user that
// causes it to the other.
var nodes = row{name: "nodes", number: 12, run: runNodes}

// fewSubscribers is how many devices receive a change whose time is that of the way between nodes,
// not that of a broadcast.
const fewSubscribers = 10

// The programs in a round of the row.
const (
	pairOfNodes = iota
	oneNode
)

// pair is two nodes of a service.
type pair struct {
	world         *kit.World
	first, second *kit.Server
	redis         *kit.Redis
}

func startPair(ctx context.Context, lab *kit.Lab, users int) (p pair, tokens []string, err error) {
	database, err := lab.Database(ctx)
	if err != nil {
		return p, nil, err
	}
	if p.world, err = lab.NewWorld(ctx, database, users); err != nil {
		return p, nil, err
	}
	if tokens, err = p.world.UserTokens(ctx, users); err != nil {
		return p, nil, err
	}
	if p.redis, err = lab.StartRedis(); err != nil {
		return p, nil, err
	}
	for _, node := range []**kit.Server{&p.first, &p.second} {
		if *node, err = lab.Serve(ctx, database, p.redis.Setting()); err != nil {
			return p, nil, err
		}
	}
	return p, tokens, nil
}

// unwritten is the metric of statuses that the database does not have yet.
const unwritten = "rollcall_presence_unwritten"

// rest waits until both nodes have written all statuses.
func (p pair) rest(ctx context.Context) error {
	return errors.Join(p.first.Await(ctx, unwritten, 0), p.second.Await(ctx, unwritten, 0))
}

func (p pair) stop() { p.first.Stop(); p.second.Stop() }

func runNodes(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	devices := kit.Pick(lab, 10_000, 200)
	two, tokens, err := startPair(ctx, lab, devices+1)
	if err != nil {
		return nil, err
	}
	defer two.stop()
	alone, err := lab.Strangers(ctx)
	if err != nil {
		return nil, err
	}
	aloneTokens, err := alone.UserTokens(ctx, devices+1)
	if err != nil {
		return nil, err
	}
	var figures []kit.Figure
	for _, part := range []func() ([]kit.Figure, error){
		func() ([]kit.Figure, error) { return weighNodes(ctx, lab, two, tokens[:devices]) },
		func() ([]kit.Figure, error) {
			return stormNodes(ctx, lab, two, tokens[:devices], alone, aloneTokens[:devices])
		},
		func() ([]kit.Figure, error) { return broadcastNodes(ctx, lab, two, tokens, alone, aloneTokens) },
		func() ([]kit.Figure, error) { return hearNodes(ctx, lab, two, tokens) },
	} {
		got, err := part()
		if err != nil {
			return nil, err
		}
		figures = append(figures, got...)
	}
	return figures, nil
}

// weighNodes is row 5 at one of the nodes, with what a device's user takes in Redis.
func weighNodes(ctx context.Context, lab *kit.Lab, two pair, tokens []string) ([]kit.Figure, error) {
	before, err := two.redis.Memory(ctx)
	if err != nil {
		return nil, err
	}
	var inRedis float64
	node, err := weigh(ctx, lab, two.second.Process, two.second.Debug,
		stormOf(ctx, lab, nil, two.second, tokens).crowd,
		func() error {
			if err := two.second.Await(ctx, "rollcall_subscriptions", float64(len(tokens))); err != nil {
				return err
			}
			if err := two.rest(ctx); err != nil {
				return err
			}
			after, err := two.redis.Memory(ctx)
			inRedis = (after - before) / float64(len(tokens))
			return err
		})
	if err != nil {
		return nil, err
	}
	return []kit.Figure{{
		Work: fmt.Sprintf("an idle device's memory, of %d, at one of two nodes", len(tokens)), Goal: "≤ 10 KB", Met: kit.AtMost(node.rss, 10_000),
		Ours: kit.KB(node.rss), Note: fmt.Sprintf("and %.0f bytes for its user in Redis", inRedis),
	}}, errors.Join(two.second.Await(ctx, "rollcall_subscriptions", 0), two.rest(ctx))
}

// sharedStorm is a storm with the processor time of Redis.
type sharedStorm struct {
	stormSlice
	redis time.Duration
}

func (s sharedStorm) redisCPU() float64 { return float64(s.redis) / float64(s.devices) }

// stormNodes is row 8 at one of the nodes.
func stormNodes(ctx context.Context, lab *kit.Lab, two pair, tokens []string, alone *kit.World, aloneTokens []string) ([]kit.Figure, error) {
	server, err := lab.Serve(ctx, alone.Database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	var gatherings []gathering
	for _, g := range []struct {
		node   *kit.Server
		tokens []string
	}{{two.second, tokens}, {server, aloneTokens}} {
		swarm, err := lab.StartSwarm()
		if err != nil {
			return nil, err
		}
		defer swarm.Stop()
		gatherings = append(gatherings, stormOf(ctx, lab, swarm, g.node, g.tokens))
	}
	// The nodes regularly send statements, so the database is never quiet.
	gatherings[pairOfNodes].rest = func() error { return two.rest(ctx) }
	gatherings[oneNode].rest = func() error { return server.Await(ctx, unwritten, 0) }
	lab.Log("measuring storms")
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 5, 2),
		func() (s sharedStorm, err error) {
			before, err := two.redis.CPU(ctx)
			if err != nil {
				return s, err
			}
			if s.stormSlice, err = gatherings[pairOfNodes].storm(ctx); err != nil {
				return s, err
			}
			after, err := two.redis.CPU(ctx)
			s.redis = after - before
			return s, err
		},
		func() (s sharedStorm, err error) {
			s.stormSlice, err = gatherings[oneNode].storm(ctx)
			return s, err
		})
	if err != nil {
		return nil, err
	}
	perSecond := func(s sharedStorm) float64 { return s.perSecond() }
	cpu := func(s sharedStorm) float64 { return s.cpu() }
	ratio := kit.Compare(rounds, pairOfNodes, oneNode, perSecond)
	return []kit.Figure{{
		Work: fmt.Sprintf("%d devices connect, authenticate and subscribe at one of two nodes, against a single one", len(tokens)),
		Goal: "≥ 0.7", Met: kit.AtLeast(ratio.Median, 0.7),
		Ours: fmt.Sprintf("%.0f/s", kit.Median(rounds, pairOfNodes, perSecond)), Floor: fmt.Sprintf("%.0f/s", kit.Median(rounds, oneNode, perSecond)),
		Ratio: ratio.String(),
		CPU:   kit.Micros(kit.Median(rounds, pairOfNodes, cpu)) + " / " + kit.Micros(kit.Median(rounds, oneNode, cpu)),
		Note:  "Redis's CPU " + kit.Micros(kit.Median(rounds, pairOfNodes, sharedStorm.redisCPU)) + " for a device that connects and disconnects",
	}}, nil
}

// broadcastNodes is row 6: the subscribers are at one node, and the user whose status changes at the
// other.
func broadcastNodes(ctx context.Context, lab *kit.Lab, two pair, tokens []string, alone *kit.World, aloneTokens []string) ([]kit.Figure, error) {
	t := broadcastTest{lab: lab, subscribers: len(tokens) - 1}
	apart, err := two.watch(ctx, t, tokens)
	if err != nil {
		return nil, err
	}
	defer apart.swarm.Stop()
	together, stop, err := t.serve(ctx, alone, aloneTokens)
	if err != nil {
		return nil, err
	}
	defer stop()
	lab.Log("measuring broadcasts")
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 9, 2),
		func() (deliveries, error) { return apart.slice(ctx) },
		func() (deliveries, error) { return together.slice(ctx) })
	if err != nil {
		return nil, err
	}
	ratio := kit.Compare(rounds, pairOfNodes, oneNode, deliveries.perSecond)
	return []kit.Figure{{
		Work: fmt.Sprintf("one change at one node to %d subscribers at the other: deliveries/s, against a single one", t.subscribers),
		Goal: "≥ 0.7", Met: kit.AtLeast(ratio.Median, 0.7),
		Ours:  fmt.Sprintf("%.0f/s", kit.Median(rounds, pairOfNodes, deliveries.perSecond)),
		Floor: fmt.Sprintf("%.0f/s", kit.Median(rounds, oneNode, deliveries.perSecond)),
		Ratio: ratio.String(), CPU: allOf(rounds, deliveries.cpu, kit.Micros), Allocations: allOf(rounds, deliveries.allocated, kit.Hundredths),
		Note: "p99 " + allOf(rounds, deliveries.p99latency, kit.Millis),
	}}, nil
}

// hearNodes measures how long a change takes from one node to a few subscribers at the other.
func hearNodes(ctx context.Context, lab *kit.Lab, two pair, tokens []string) ([]kit.Figure, error) {
	t := broadcastTest{lab: lab, subscribers: fewSubscribers}
	apart, err := two.watch(ctx, t, tokens)
	if err != nil {
		return nil, err
	}
	defer apart.swarm.Stop()
	rounds, err := kit.Rounds(ctx, kit.Pick(lab, 9, 2), func() (deliveries, error) { return apart.slice(ctx) })
	if err != nil {
		return nil, err
	}
	late := kit.Median(rounds, pairOfNodes, deliveries.p99latency)
	return []kit.Figure{{
		Work: fmt.Sprintf("one change at one node to %d subscribers at the other: p99 from cause to delivery", t.subscribers),
		Goal: "≤ 20 ms", Met: kit.AtMost(late, float64(20*time.Millisecond)),
		Ours: kit.Millis(late),
		Note: "p50 " + kit.Millis(kit.Median(rounds, pairOfNodes, deliveries.p50latency)) + "; the cause is a login, verified and durable, or a lost connection",
	}}, nil
}

// watch subscribes the devices of t at the second node to a user whose device uses the first.
func (p pair) watch(ctx context.Context, t broadcastTest, tokens []string) (audience, error) {
	a, err := t.speak(ctx, audience{name: "the second node", process: p.second.Process, debug: p.second.Debug}, p.second.Address, tokens)
	a.round.Address = p.first.Address
	return a, err
}
