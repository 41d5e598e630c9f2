package presence

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// idle is a sink that does nothing.
type idle struct{ _ byte }

func (*idle) Deliver(*fanout.Event) {}

// BenchmarkWatchMemory measures the memory of a watch: 1000 subscriptions to 200 of
// 2000 users each.
func BenchmarkWatchMemory(b *testing.B) {
	const watchers, users, each = 1000, 2000, 200
	w := newWorld(b, testenv.Open(b, testenv.SQLiteURL(b)), 0)
	sink := new(idle)
	accs := make([]status.Account, users)
	for i := range accs {
		accs[i] = status.Account{ID: int64(i + 1), AppID: 1}
	}
	for b.Loop() {
		before := heap()
		stops := make([]func(), watchers)
		for i := range stops {
			first := i * 37 % (users - each)
			stops[i] = w.WatchUsers(accs[first:first+each], sink, false)
		}
		w.delivered()
		b.ReportMetric(float64(heap()-before)/(watchers*each), "B/watch")
		for _, stop := range stops {
			stop()
		}
		w.delivered()
	}
}

// BenchmarkStorm measures how long the concurrent logins of 5000 users take.
func BenchmarkStorm(b *testing.B) {
	const users = 5000
	for name, url := range map[string]func(testing.TB) string{"sqlite": testenv.SQLiteURL, "mariadb": testenv.MySQLURL} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, testenv.Open(b, url(b)), users)
			for b.Loop() {
				var connects sync.WaitGroup
				devices := make([]*status.Device, users)
				for i := range devices {
					connects.Go(func() {
						d, err := w.Connect(context.Background(), status.AccountOf(w.users[i]), models.PlatformWeb, new(link), allowed)
						if err != nil {
							b.Error(err)
						}
						devices[i] = d
					})
				}
				connects.Wait()
				for _, d := range devices {
					d.Gone()
				}
				w.written()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/users, "µs/login+loss")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
