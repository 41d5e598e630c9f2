package appmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/appmetrics"
)

// world is the metrics of up to two apps, of which the app N has the key appN.
type world struct {
	*testing.T
	*appmetrics.Apps
	registry *prometheus.Registry
	now      time.Time
	// away makes reads of keys fail, and deleted is an app that does not exist.
	away    bool
	deleted int64
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, registry: prometheus.NewRegistry(), now: time.Unix(1e9, 0)}
	w.Apps = appmetrics.New(2, func() time.Time { return w.now }, func(_ context.Context, id int64) (string, error) {
		switch {
		case w.away:
			return "", errors.New("the database is away")
		case id == w.deleted:
			return "", nil
		}
		return fmt.Sprintf("app%d", id), nil
	})
	w.registry.MustRegister(w.Apps)
	return w
}

// operations counts n operations of an app.
func (w *world) operations(id int64, n int) {
	for range n {
		w.Operation(id)
	}
}

// want checks the values of a metric, whose names are the values of its labels.
func (w *world) want(metric string, want map[string]float64) {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.Metric {
			name := ""
			for _, label := range m.Label {
				name += label.GetValue() + " "
			}
			if family.GetName() == metric {
				got[name[:len(name)-1]] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s is %v, want %v", metric, got, want)
	}
}

const operations, failures, devices = "rollcall_app_operations_total", "rollcall_app_errors_total", "rollcall_app_devices"

// TestApps_BusiestHaveSeries checks that the number of series is limited, that busier apps get those of
// others, and that no series falls when they do.
func TestApps_BusiestHaveSeries(t *testing.T) {
	w := newWorld(t)
	w.operations(0, 9) // guests
	w.operations(1, 10)
	w.operations(2, 5)
	w.operations(3, 7)
	w.Error(3, "FORBIDDEN")
	w.Error(1, "USER_NOT_FOUND")
	w.Devices(3, 2)
	w.Devices(1, 1)
	w.want(operations, map[string]float64{"app1": 10, "app2": 5, "other": 7})
	w.want(failures, map[string]float64{"app1 USER_NOT_FOUND": 1, "other FORBIDDEN": 1})
	w.want(devices, map[string]float64{"app1": 1, "app2": 0, "other": 2})

	// 7 is not twice 5, and 100 not within a minute.
	w.now = w.now.Add(time.Minute)
	w.want(operations, map[string]float64{"app1": 10, "app2": 5, "other": 7})
	w.operations(1, 100)
	w.operations(3, 100)
	w.now = w.now.Add(time.Second)
	w.want(operations, map[string]float64{"app1": 110, "app2": 5, "other": 107})

	// What the app 3 has done so far stays with the others, and so does what the app 2 does from now on.
	w.now = w.now.Add(time.Minute)
	w.want(operations, map[string]float64{"app1": 110, "app3": 0, "other": 107})
	w.operations(2, 3)
	w.operations(3, 4)
	w.Error(3, "FORBIDDEN")
	w.Devices(3, -1)
	w.want(operations, map[string]float64{"app1": 110, "app3": 4, "other": 110})
	w.want(failures, map[string]float64{"app1 USER_NOT_FOUND": 1, "app3 FORBIDDEN": 1, "other FORBIDDEN": 1})
	w.want(devices, map[string]float64{"app1": 1, "app3": 1, "other": 0})
}

// TestApps_CountWithoutAllocating checks what each operation does.
func TestApps_CountWithoutAllocating(t *testing.T) {
	w := newWorld(t)
	const id = 1 << 40
	if n := testing.AllocsPerRun(100, func() { w.Operation(id); w.Error(id, "FORBIDDEN"); w.Devices(id, 1) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
	var off *appmetrics.Apps
	off.Operation(id)
	off.Error(id, "FORBIDDEN")
	off.Devices(id, 1)
}

// TestApps_WithoutKeys checks that a scrape works while the database is away, and that an app that was
// deleted gives its series to another.
func TestApps_WithoutKeys(t *testing.T) {
	w := newWorld(t)
	w.away, w.deleted = true, 1
	w.operations(1, 10)
	w.operations(2, 5)
	w.want(operations, map[string]float64{"other": 0})
	w.away = false
	w.want(operations, map[string]float64{"app2": 5, "other": 0})
	w.operations(3, 1)
	w.want(operations, map[string]float64{"app2": 5, "app3": 1, "other": 0})
}
