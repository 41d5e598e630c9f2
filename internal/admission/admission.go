// Package admission bounds how many slow reads run at the same time, and shares the places fairly
// between tenants: one tenant's reads do not delay another's.
//
// A Gate keeps a queue for each class of readers, such as an app. A free place goes to the next
// class in turn, not to the reader that has waited longest, and no class may take more than its
// share.
package admission

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/fault"
)

// Limits bound the reads of a Gate.
type Limits struct {
	// Running is how many may run, and RunningEach how many of one class.
	Running, RunningEach int
	// WaitingEach is how many of one class may wait.
	WaitingEach int
	// Patience is how long one may wait.
	Patience time.Duration
}

// Gate admits slow reads. It is safe for concurrent use.
type Gate struct {
	limits  Limits
	refused prometheus.Counter

	mu      sync.Mutex
	running int
	waiting int
	classes map[int64]*class
	// queue has the classes with waiting readers, the next in turn first.
	queue []*class
}

// class is the readers of one kind. It exists while there are any.
type class struct {
	key     int64
	running int
	waiting []chan struct{} // each is closed when its reader has a place
}

// New returns a Gate with these limits, which must all be positive.
func New(limits Limits) *Gate {
	return &Gate{
		limits: limits,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_slow_reads_refused_total", Help: "Searches and counts refused because too many wait.",
		}),
		classes: make(map[int64]*class),
	}
}

// Observe registers the Gate's metrics.
func (g *Gate) Observe(r prometheus.Registerer) {
	gauge := func(name, help string, n *int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(*n)
		})
	}
	r.MustRegister(g.refused,
		gauge("rollcall_slow_reads_running", "Searches and counts that are running.", &g.running),
		gauge("rollcall_slow_reads_waiting", "Searches and counts that wait for others to end.", &g.waiting))
}

// Enter waits for a place for a reader of the class. The reader must call leave once when it has
// ended. Enter returns ctx's error, or fault.RateLimited with retryAfterMs if too many readers wait
// or if no place becomes free in time.
func (g *Gate) Enter(ctx context.Context, key int64) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	c := g.classes[key]
	if c == nil {
		c = &class{key: key}
		g.classes[key] = c
	}
	leave = func() { g.leave(c) }
	if g.running < g.limits.Running && c.running < g.limits.RunningEach {
		g.start(c)
		g.mu.Unlock()
		return leave, nil
	}
	if len(c.waiting) >= g.limits.WaitingEach {
		g.mu.Unlock()
		return nil, g.refuse()
	}
	place := make(chan struct{})
	if len(c.waiting) == 0 {
		g.queue = append(g.queue, c)
	}
	c.waiting = append(c.waiting, place)
	g.waiting++
	g.mu.Unlock()

	late := time.NewTimer(g.limits.Patience)
	defer late.Stop()
	select {
	case <-place:
		return leave, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
	}
	if !g.giveUp(c, place) {
		return leave, nil // the place became free at the same moment
	}
	if err == nil {
		err = g.refuse()
	}
	return nil, err
}

// refuse returns the error for a reader that gets no place.
func (g *Gate) refuse() error {
	g.refused.Inc()
	ms := g.limits.Patience.Milliseconds()
	return fault.New(fault.RateLimited, "too many searches and counts are running; try again in %d ms", ms).With("retryAfterMs", ms)
}

// start gives a reader a place. The caller holds the mutex, as for all methods below unless they say
// otherwise.
func (g *Gate) start(c *class) {
	g.running++
	c.running++
}

// leave frees the place of a reader of the class. The caller does not hold the mutex.
func (g *Gate) leave(c *class) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	c.running--
	for g.running < g.limits.Running {
		next := slices.IndexFunc(g.queue, func(c *class) bool { return c.running < g.limits.RunningEach })
		if next < 0 {
			break
		}
		g.admit(next)
	}
	g.forget(c)
}

// admit gives a place to the first reader of the class at i in the queue. The class goes to the end
// of the queue if it has others.
func (g *Gate) admit(i int) {
	c := g.queue[i]
	g.queue = slices.Delete(g.queue, i, i+1)
	close(c.waiting[0])
	c.waiting = slices.Delete(c.waiting, 0, 1)
	g.waiting--
	g.start(c)
	if len(c.waiting) > 0 {
		g.queue = append(g.queue, c)
	}
}

// giveUp ends the reader's wait, and reports whether it has got no place. The caller does not hold
// the mutex.
func (g *Gate) giveUp(c *class, place chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(c.waiting, place)
	if i < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	g.waiting--
	if len(c.waiting) == 0 {
		g.queue = slices.DeleteFunc(g.queue, func(other *class) bool { return other == c })
		g.forget(c)
	}
	return true
}

// forget removes a class without readers.
func (g *Gate) forget(c *class) {
	if c.running == 0 && len(c.waiting) == 0 {
		delete(g.classes, c.key)
	}
}
