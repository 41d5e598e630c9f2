// Package appmetrics has the metrics of single apps: operations, errors by code, and devices. Only the
// busiest apps have series of their own, and the others share one, so that there are few series
// however many apps there are.
//
// An app has a series at once while there is room for it. Later, an app takes the place of another one
// that is far less busy. What an app does while it has no series counts as that of the others, and stays
// there: each series only grows, and what all series grow by is what all apps have done.
package appmetrics

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// rankInterval is how long an app has a series at least before another one takes its place.
	rankInterval = time.Minute
	// busier is how many times as busy as the least busy app with a series another one must be to take
	// its place.
	busier = 2
	// readTimeout limits the reads of keys for one scrape.
	readTimeout = time.Second
	// others is the label of the apps without a series. Keys of apps are longer.
	others = "other"
)

// Apps counts what apps do. If it is nil, nothing is counted.
type Apps struct {
	limit int
	keyOf func(ctx context.Context, id int64) (string, error)
	clock func() time.Time

	// apps are all apps that have done something, by their apps.id. The map is replaced, not changed, so
	// that counting takes no lock.
	apps atomic.Pointer[map[int64]*app]

	mu sync.Mutex // also for replacing apps
	// named are the apps with series by their apps.id.
	named map[int64]*series
	// ended is what was counted by series that have ended.
	ended  counts
	ranked time.Time

	operations, errors, devices *prometheus.Desc
}

var _ prometheus.Collector = (*Apps)(nil)

// app is what an app has done.
type app struct {
	operations atomic.Int64
	devices    atomic.Int64
	// last is operations at the last ranking. It is guarded by Apps.mu.
	last int64

	mu     sync.Mutex
	errors map[string]int64
}

// series is an app with series of its own.
type series struct {
	key string // "" until it is read
	// before is what the app had done before.
	before counts
}

// counts are numbers of operations, and of errors by their codes.
type counts struct {
	operations int64
	errors     map[string]int64
}

func (c *counts) add(other counts, sign int64) {
	c.operations += sign * other.operations
	for code, n := range other.errors {
		if c.errors == nil {
			c.errors = make(map[string]int64)
		}
		c.errors[code] += sign * n
	}
}

// since returns c without before.
func (c counts) since(before counts) counts {
	out := counts{c.operations, maps.Clone(c.errors)}
	out.add(before, -1)
	return out
}

func (a *app) counts() counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return counts{a.operations.Load(), maps.Clone(a.errors)}
}

// New returns the metrics of up to limit apps, or nil if limit is 0. keyOf returns the key of an app,
// or "" if it does not exist.
func New(limit int, clock func() time.Time, keyOf func(ctx context.Context, id int64) (string, error)) *Apps {
	if limit == 0 {
		return nil
	}
	m := &Apps{
		limit: limit, keyOf: keyOf, clock: clock, named: make(map[int64]*series), ranked: clock(),
		operations: prometheus.NewDesc("rollcall_app_operations_total", "Operations by app; \"other\": all apps without series of their own.", []string{"app"}, nil),
		errors:     prometheus.NewDesc("rollcall_app_errors_total", "Errors returned to callers of the API, by app and code.", []string{"app", "code"}, nil),
		devices:    prometheus.NewDesc("rollcall_app_devices", "Devices connected to this process, by app.", []string{"app"}, nil),
	}
	m.apps.Store(&map[int64]*app{})
	return m
}

// Operation counts an operation of an app. Apps with apps.id 0, those of guests, are not counted.
func (m *Apps) Operation(id int64) {
	if m != nil && id != 0 {
		m.of(id).operations.Add(1)
	}
}

// Error counts an error that was returned to a caller of an app; see Operation.
func (m *Apps) Error(id int64, code string) {
	if m == nil || id == 0 {
		return
	}
	a := m.of(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.errors == nil {
		a.errors = make(map[string]int64)
	}
	a.errors[code]++
}

// Devices counts n more devices that are connected, or fewer if n is negative.
func (m *Apps) Devices(id int64, n int64) {
	if m != nil {
		m.of(id).devices.Add(n)
	}
}

// of returns the app with that apps.id.
func (m *Apps) of(id int64) *app {
	if a := (*m.apps.Load())[id]; a != nil {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.apps.Load()
	if a := known[id]; a != nil {
		return a
	}
	a, list := &app{}, maps.Clone(known)
	list[id] = a
	m.apps.Store(&list)
	if len(m.named) < m.limit {
		m.named[id] = &series{}
	}
	return a
}

// Describe implements prometheus.Collector.
func (m *Apps) Describe(out chan<- *prometheus.Desc) {
	out <- m.operations
	out <- m.errors
	out <- m.devices
}

// Collect implements prometheus.Collector.
func (m *Apps) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.clock(); now.Sub(m.ranked) >= rankInterval {
		m.ranked = now
		m.rank()
	}
	m.readKeys(ctx)
	rest, restDevices := counts{}, int64(0)
	rest.add(m.ended, -1)
	for id, a := range *m.apps.Load() {
		total, devices := a.counts(), a.devices.Load()
		s := m.named[id]
		if s == nil {
			rest.add(total, 1)
			restDevices += devices
			continue
		}
		rest.add(s.before, 1)
		if s.key != "" { // otherwise it is sent once its key could be read
			m.send(out, s.key, total.since(s.before), devices)
		}
	}
	m.send(out, others, rest, restDevices)
}

func (m *Apps) send(out chan<- prometheus.Metric, key string, c counts, devices int64) {
	out <- prometheus.MustNewConstMetric(m.operations, prometheus.CounterValue, float64(c.operations), key)
	out <- prometheus.MustNewConstMetric(m.devices, prometheus.GaugeValue, float64(devices), key)
	for code, n := range c.errors {
		out <- prometheus.MustNewConstMetric(m.errors, prometheus.CounterValue, float64(n), key, code)
	}
}

// readKeys reads the keys that are missing, and ends the series of apps that do not exist any more.
func (m *Apps) readKeys(ctx context.Context) {
	for id, s := range m.named {
		if s.key != "" {
			continue
		}
		key, err := m.keyOf(ctx, id)
		switch {
		case err != nil:
			return // at the next scrape
		case key == "":
			m.end(id)
		default:
			s.key = key
		}
	}
}

// end ends the series of an app.
func (m *Apps) end(id int64) {
	m.ended.add(m.total(id).since(m.named[id].before), 1)
	delete(m.named, id)
}

func (m *Apps) total(id int64) counts {
	return (*m.apps.Load())[id].counts()
}

// rank gives the busiest apps since the last ranking series.
func (m *Apps) rank() {
	type rival struct{ id, operations int64 }
	var with, without []rival // the least and the most busy first
	for id, a := range *m.apps.Load() {
		now := a.operations.Load()
		r := rival{id, now - a.last}
		a.last = now
		if m.named[id] != nil {
			with = append(with, r)
		} else {
			without = append(without, r)
		}
	}
	slices.SortFunc(with, func(a, b rival) int { return cmp.Compare(a.operations, b.operations) })
	slices.SortFunc(without, func(a, b rival) int { return cmp.Compare(b.operations, a.operations) })
	for _, r := range without {
		if len(m.named) >= m.limit {
			if len(with) == 0 || r.operations <= busier*with[0].operations {
				return
			}
			m.end(with[0].id)
			with = with[1:]
		}
		m.named[r.id] = &series{before: m.total(r.id)}
	}
}
