package graph_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/appmetrics"
	"rollcall/internal/testenv"
)

// TestMetrics_DevicesOfApps checks that WebSockets and event streams of users count as devices of their
// app while they are open, and those of App Servers do not.
func TestMetrics_DevicesOfApps(t *testing.T) {
	apps := appmetrics.New(1, time.Now, func(context.Context, int64) (string, error) { return "key", nil })
	registry := prometheus.NewRegistry()
	registry.MustRegister(apps)
	devices := func() (n float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.Metric {
				if family.GetName() == "rollcall_app_devices" {
					n += m.GetGauge().GetValue()
				}
			}
		}
		return n
	}
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Adjust = func(c *transport.Config) { c.Apps = apps }
	w.Restart()
	w.Socket(w.Bearer("ann"))
	w.Socket(w.Bearer(graphtest.AppServer))
	if n := devices(); n != 1 {
		t.Errorf("%g devices with one WebSocket of a user", n)
	}
	w.Restart() // all connections have ended
	if n := devices(); n != 0 {
		t.Errorf("%g devices without connections", n)
	}
}
