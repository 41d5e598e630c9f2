//go:build linux

package main

import (
	"context"
	"fmt"

	"rollcall/bench/kit"
)

// burst is row 7: ten users change their status at once, and 5000 subscribers that watch all of
// them receive each change. It is compared with stock gqlgen.
var burst = row{name: "burst", number: 7, run: runBurst}

func runBurst(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	t := broadcastTest{lab: lab, subscribers: kit.Pick(lab, 5_000, 200), actors: 10, rounds: 11}
	rounds, err := t.run(ctx)
	if err != nil {
		return nil, err
	}
	ratio := kit.Compare(rounds, ours, theStock, deliveries.perSecond)
	return []kit.Figure{{
		Work: fmt.Sprintf("a burst of %d changes to %d subscribers, against stock gqlgen: deliveries/s", t.actors, t.subscribers),
		Goal: "≥ 6 times stock", Met: kit.AtLeast(ratio.Median, 6),
		Ours:        fmt.Sprintf("%.0f/s", kit.Median(rounds, ours, deliveries.perSecond)),
		Floor:       fmt.Sprintf("%.0f/s", kit.Median(rounds, theFloor, deliveries.perSecond)),
		Ratio:       ratio.String() + " to stock",
		Stock:       kit.Hundredths(kit.Compare(rounds, theStock, theFloor, deliveries.perSecond).Median),
		CPU:         allOf(rounds, deliveries.cpu, kit.Micros),
		Allocations: allOf(rounds, deliveries.allocated, kit.Hundredths),
		Note: fmt.Sprintf("to the floor %s; p99 %s", kit.Compare(rounds, ours, theFloor, deliveries.perSecond),
			allOf(rounds, deliveries.p99latency, kit.Millis)),
	}}, nil
}
