package transport

import (
	"container/heap"
	"sync"
	"time"

	"rollcall/models"
)

// maxExpirySleep limits how long expiries relies on its timer, which does not follow a clock that is
// set or a machine that was suspended.
const maxExpirySleep = time.Minute

// expiries ends links when their tokens expire. All links share one timer, so that a link costs no
// more than an entry in a heap.
type expiries struct {
	clock func() time.Time

	mu   sync.Mutex
	heap expiryHeap
	// timer calls endExpired; nil before the first link.
	timer *time.Timer
}

// expiry is a link with the time at which its token expires.
type expiry struct {
	at    models.Time
	link  link
	index int // in the heap, or -1 if it has left it
}

// add makes l end at that time, unless remove is called before with the result. If at is 0, the
// token does not expire, and add returns nil.
func (e *expiries) add(l link, at models.Time) *expiry {
	if at == 0 {
		return nil
	}
	x := &expiry{at: at, link: l}
	e.mu.Lock()
	defer e.mu.Unlock()
	heap.Push(&e.heap, x)
	if x.index == 0 {
		e.setTimer()
	}
	return x
}

// remove undoes add. x may be nil, and its link may have been ended.
func (e *expiries) remove(x *expiry) {
	if x == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.index >= 0 {
		heap.Remove(&e.heap, x.index)
	}
}

// endExpired ends the links whose tokens have expired.
func (e *expiries) endExpired() {
	now := models.TimeOf(e.clock())
	var ended []link
	e.mu.Lock()
	for len(e.heap) > 0 && e.heap[0].at <= now {
		ended = append(ended, heap.Pop(&e.heap).(*expiry).link)
	}
	if len(e.heap) > 0 {
		e.setTimer()
	}
	e.mu.Unlock()
	for _, l := range ended {
		l.endLink(tokenEnded)
	}
}

// setTimer sets the timer for the first link that expires. e.mu must be locked and the heap not be
// empty.
func (e *expiries) setTimer() {
	sleep := min(e.heap[0].at.Time().Sub(e.clock()), maxExpirySleep)
	if e.timer == nil {
		e.timer = time.AfterFunc(sleep, e.endExpired)
	} else {
		e.timer.Reset(sleep)
	}
}

// expiryHeap is a heap.Interface of the links, the first that expires on top.
type expiryHeap []*expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	added := x.(*expiry)
	added.index = len(*h)
	*h = append(*h, added)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	x.index = -1
	return x
}
