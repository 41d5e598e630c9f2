//go:build linux

package main

import (
	"context"
	"fmt"

	"rollcall/bench/kit"
)

// fanout is row 6: one status change to 10 000 subscribers. Each is the device of another user and
// subscribes to userStatus of a user that connects and disconnects. The floor broadcasts prepared
// bytes of the same length with gorilla/websocket.
var fanout = row{name: "fanout", number: 6, run: runFanout}

func runFanout(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	t := broadcastTest{lab: lab, subscribers: kit.Pick(lab, 10_000, 200), rounds: 13, profiled: "fanout"}
	rounds, err := t.run(ctx)
	if err != nil {
		return nil, err
	}
	throughput := kit.Compare(rounds, ours, theFloor, deliveries.perSecond)
	late := kit.Compare(rounds, ours, theFloor, deliveries.p99latency)
	return []kit.Figure{
		{
			Work: fmt.Sprintf("one change to %d subscribers: deliveries/s", t.subscribers), Goal: "≥ 0.9", Met: kit.AtLeast(throughput.Median, 0.9),
			Ours:        fmt.Sprintf("%.0f/s", kit.Median(rounds, ours, deliveries.perSecond)),
			Floor:       fmt.Sprintf("%.0f/s", kit.Median(rounds, theFloor, deliveries.perSecond)),
			Ratio:       throughput.String(),
			Stock:       kit.Hundredths(kit.Compare(rounds, theStock, theFloor, deliveries.perSecond).Median),
			CPU:         allOf(rounds, deliveries.cpu, kit.Micros),
			Allocations: allOf(rounds, deliveries.allocated, kit.Hundredths),
			Note:        "messages of " + allOf(rounds, deliveries.messageSize, kit.Count) + " bytes",
		},
		{
			Work: "the same: p99 from cause to delivery", Goal: "≤ 1.3", Met: kit.AtMost(late.Median, 1.3),
			Ours:  kit.Millis(kit.Median(rounds, ours, deliveries.p99latency)),
			Floor: kit.Millis(kit.Median(rounds, theFloor, deliveries.p99latency)),
			Ratio: late.String(),
			Stock: kit.Hundredths(kit.Compare(rounds, theStock, theFloor, deliveries.p99latency).Median),
			Note:  "p50 " + allOf(rounds, deliveries.p50latency, kit.Millis),
		},
	}, nil
}
