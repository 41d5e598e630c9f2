package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// BenchmarkLogin measures the processor time of Redis for a login, as Connect makes it in two steps,
// and for the departure: of the busiest server, and of the others together. Users are divided into
// buckets as the registry divides them.
func BenchmarkLogin(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{
		"server":    testenv.RedisURL,
		"1 master":  func(tb testing.TB) string { return testenv.NewRedisCluster(tb, 1, 0).URL() },
		"3 masters": func(tb testing.TB) string { return testenv.NewRedisCluster(tb, 3, 0).URL() },
	} {
		b.Run(name, func(b *testing.B) {
			client := testenv.OpenRedis(b, url(b), testenv.Service())
			var ledgers []*Ledger
			for _, part := range client.Parts(status.Buckets) {
				l := New(part)
				if _, err := l.Renew(context.Background(), Renewal{Node: "a", Length: 3_600_000_000_000, Enter: true}); err != nil {
					b.Fatal(err)
				}
				ledgers = append(ledgers, l)
			}
			before := processorTime(b, client)
			const concurrency = 64
			var next atomic.Int64
			var logins sync.WaitGroup
			b.ResetTimer()
			for range concurrency {
				logins.Go(func() {
					for id := next.Add(1); id <= int64(b.N); id = next.Add(1) {
						if err := loginAndLeave(ledgers[status.BucketOf(id)%len(ledgers)], id); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			logins.Wait()
			b.StopTimer()
			var times []float64
			for address, after := range processorTime(b, client) {
				times = append(times, 1e6*(after-before[address])/float64(b.N))
			}
			slices.Sort(times)
			var others float64
			for _, t := range times[:len(times)-1] {
				others += t
			}
			b.ReportMetric(times[len(times)-1], "µs-busiest/op")
			b.ReportMetric(others, "µs-others/op")
		})
	}
}

func loginAndLeave(l *Ledger, id int64) error {
	in := Login{
		Node: "a", User: status.Account{ID: id, AppID: 1, ExternalID: fmt.Sprint("u", id)},
		Device: models.Device{ID: fmt.Sprint("d", id), Platform: models.PlatformWeb, ConnectedAt: 1}, Now: 1,
	}
	_, err := l.Connect(context.Background(), in)
	unrecorded, ok := errors.AsType[*LoginError](err)
	if !ok {
		return fmt.Errorf("the first step returned %w", err)
	}
	in.Recorded = unrecorded.At
	if _, err := l.Connect(context.Background(), in); err != nil {
		return err
	}
	_, _, _, err = l.Leave(context.Background(), Departure{User: in.User, Devices: []string{in.Device.ID}, To: models.PresenceOffline, Now: 2})
	return err
}

// processorTime returns the processor time of each server, in seconds, by its address.
func processorTime(b *testing.B, client *redis.Client) map[string]float64 {
	b.Helper()
	times := make(map[string]float64)
	for address, server := range client.Nodes() {
		info, err := server.Do(context.Background(), server.B().Info().Section("cpu").Build()).ToString()
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(info) {
			var seconds float64
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "used_cpu_user" || name == "used_cpu_sys" {
				_, _ = fmt.Sscan(value, &seconds)
				times[address] += seconds
			}
		}
	}
	return times
}
