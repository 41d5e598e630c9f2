// Package admission bounds how many slow reads, or operations, run at the same time, and shares the places
// fairly between tenants: one tenant's do not delay another's. A Gate has readers wait for a place; a Bound
// refuses operations at once.
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

// Kind describes the readers of a Gate.
type Kind struct {
	// Metric begins the names of the metrics, as in rollcall_slow_reads; Help names the readers in
	// their descriptions.
	Metric, Help string
	// Refusal returns the error for a reader that gets no place, which may try again after that time.
	Refusal func(after time.Duration) error
}

// Gate admits readers. K identifies their classes. It is safe for concurrent use.
type Gate[K comparable] struct {
	limits  Limits
	kind    Kind
	refused prometheus.Counter

	mu      sync.Mutex
	running int
	waiting int
	classes map[K]*class[K]
	// queue has the classes with readers that wait, the next in turn first.
	queue []*class[K]
}

// class is the readers of one kind. It exists while there are any.
type class[K comparable] struct {
	key     K
	running int
	waiting []chan struct{} // each is closed when its reader has a place
}

// New returns a Gate for readers of that kind with these limits, which must all be positive.
func New[K comparable](limits Limits, kind Kind) *Gate[K] {
	return &Gate[K]{
		limits: limits,
		kind:   kind,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: kind.Metric + "_refused_total", Help: kind.Help + " refused because too many wait.",
		}),
		classes: make(map[K]*class[K]),
	}
}

// Observe registers the Gate's metrics.
func (g *Gate[K]) Observe(r prometheus.Registerer) {
	gauge := func(name, help string, n *int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(*n)
		})
	}
	r.MustRegister(g.refused,
		gauge(g.kind.Metric+"_running", g.kind.Help+" that are running.", &g.running),
		gauge(g.kind.Metric+"_waiting", g.kind.Help+" that wait for others to end.", &g.waiting))
}

// Enter waits for a place for a reader of the class. The reader must call leave once when it has
// ended. Enter returns ctx's error, or the Kind's refusal if too many readers wait or if no place
// becomes free in time.
func (g *Gate[K]) Enter(ctx context.Context, key K) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	c := g.classes[key]
	if c == nil {
		c = &class[K]{key: key}
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

// refuse counts a reader that gets no place, and returns its error.
func (g *Gate[K]) refuse() error {
	g.refused.Inc()
	return g.kind.Refusal(g.limits.Patience)
}

// start gives a reader a place. The caller holds the mutex, as for all methods below unless they say
// otherwise.
func (g *Gate[K]) start(c *class[K]) {
	g.running++
	c.running++
}

// leave frees the place of a reader of the class. The caller does not hold the mutex.
func (g *Gate[K]) leave(c *class[K]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	c.running--
	for g.running < g.limits.Running {
		next := slices.IndexFunc(g.queue, func(c *class[K]) bool { return c.running < g.limits.RunningEach })
		if next < 0 {
			break
		}
		g.admit(next)
	}
	g.forget(c)
}

// admit gives a place to the first reader of the class at i in the queue. The class goes to the end
// of the queue if it has others.
func (g *Gate[K]) admit(i int) {
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
func (g *Gate[K]) giveUp(c *class[K], place chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(c.waiting, place)
	if i < 0 {
		return false
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	g.waiting--
	if len(c.waiting) == 0 {
		g.queue = slices.DeleteFunc(g.queue, func(other *class[K]) bool { return other == c })
		g.forget(c)
	}
	return true
}

// forget removes a class without readers.
func (g *Gate[K]) forget(c *class[K]) {
	if c.running == 0 && len(c.waiting) == 0 {
		delete(g.classes, c.key)
	}
}
