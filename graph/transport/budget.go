package transport

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
)

// freeBytes is how much of each body and message a budget does not count, so that small ones are
// received whatever other callers send. net/http takes as much for each connection anyway.
const freeBytes = 4 << 10

// budget limits the memory of the bodies and messages that are being received, or of the responses
// to guests that are being sent. Each group of callers may use a quarter of it, and all guests that
// send an eighth, so that no single group can keep the others waiting.
type budget struct {
	limit   int
	bytes   prometheus.Gauge
	refused prometheus.Counter

	mu        sync.Mutex
	total     int
	byCallers map[callers]int // no entry is 0
}

// callers is a group of callers that shares a part of a budget: guests, the users of an app, its App
// Server, or the guests of a site.
type callers struct {
	app  int64 // apps.id, 0 for guests
	kind auth.Kind
	site string
}

func newBudget(limit int, bytes prometheus.Gauge, refused prometheus.Counter) *budget {
	return &budget{limit: limit, bytes: bytes, refused: refused, byCallers: make(map[callers]int)}
}

// reserve returns an empty reservation for the caller; p is nil for a guest.
func (b *budget) reserve(p *auth.Principal) reservation {
	if p == nil {
		return reservation{budget: b}
	}
	return reservation{budget: b, callers: callers{app: p.AppID(), kind: p.Kind}}
}

// errBusy refuses a body or a message that does not fit into the budget.
var errBusy = fault.New(fault.Unavailable, "the server is receiving too many large requests; try again")

// reservation is the part of a budget that one body or message occupies.
type reservation struct {
	budget  *budget
	callers callers
	bytes   int
}

// extend makes the reservation large enough for size bytes. It returns errBusy, and changes
// nothing, if the budget has no room for them.
func (r *reservation) extend(size int) error {
	more := size - freeBytes - r.bytes
	if more <= 0 {
		return nil
	}
	b := r.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total+more > b.limit || b.byCallers[r.callers]+more > b.share(r.callers) {
		b.refused.Inc()
		return errBusy
	}
	r.add(more)
	return nil
}

// share returns how many bytes a group of callers may use.
func (b *budget) share(c callers) int {
	if c == (callers{}) {
		return b.limit / 8 // guests that send
	}
	return b.limit / 4
}

// release returns all reserved bytes to the budget.
func (r *reservation) release() {
	if r.bytes == 0 {
		return
	}
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	r.add(-r.bytes)
}

// add adds bytes to the reservation. The budget's mu must be held.
func (r *reservation) add(bytes int) {
	b := r.budget
	r.bytes += bytes
	b.total += bytes
	if b.byCallers[r.callers] += bytes; b.byCallers[r.callers] == 0 {
		delete(b.byCallers, r.callers)
	}
	b.bytes.Set(float64(b.total))
}
