package admission

import (
	"errors"
	"maps"
	"math"
	"sync"
	"sync/atomic"
)

// The errors of Bound.Enter.
var (
	// ErrClassFull means that as many of the class are running as may.
	ErrClassFull = errors.New("too many of the class are running")
	// ErrFull means that as many are running as may.
	ErrFull = errors.New("too many are running")
)

// Bound limits how many operations run at the same time, in all and of each class, such as the users of an
// app. Unlike a Gate it refuses those beyond the limits at once. It neither locks nor allocates for an
// operation of a class that it knows. A nil *Bound has no limits.
type Bound struct {
	all, each int64
	running   atomic.Int64
	// shards have the known classes, which are never forgotten: 8 bytes and a map entry each. A new class
	// copies the map of its shard.
	shards [64]shard
}

type shard struct {
	classes atomic.Pointer[map[int64]*atomic.Int64]
	mu      sync.Mutex // held to add a class
}

// NewBound returns a Bound for so many operations in all, and of each class. 0 is no limit.
func NewBound(all, each int) *Bound {
	if all == 0 && each == 0 {
		return nil
	}
	b := &Bound{all: unlessZero(all), each: unlessZero(each)}
	for i := range b.shards {
		b.shards[i].classes.Store(&map[int64]*atomic.Int64{})
	}
	return b
}

func unlessZero(n int) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return int64(n)
}

// Running returns how many operations run.
func (b *Bound) Running() int64 {
	if b == nil {
		return 0
	}
	return b.running.Load()
}

// Place is that of an operation in a Bound. The zero value is no place.
type Place struct {
	bound *Bound
	class *atomic.Int64
}

// Enter returns a place for an operation of the class, which calls Leave when it has ended. An operation
// that is secondary may only use three quarters of the places in all, so that others are still admitted
// when those of many classes come at once. Returns ErrClassFull or ErrFull if there is no place.
func (b *Bound) Enter(class int64, secondary bool) (Place, error) {
	if b == nil {
		return Place{}, nil
	}
	c := b.class(class)
	if c.Add(1) > b.each {
		c.Add(-1)
		return Place{}, ErrClassFull
	}
	all := b.all
	if secondary {
		all -= all / 4
	}
	if b.running.Add(1) > all {
		b.running.Add(-1)
		c.Add(-1)
		return Place{}, ErrFull
	}
	return Place{b, c}, nil
}

// Leave frees the place. Further calls do nothing.
func (p *Place) Leave() {
	if p.bound != nil {
		p.bound.running.Add(-1)
		p.class.Add(-1)
		*p = Place{}
	}
}

// class returns how many of the class are running.
func (b *Bound) class(class int64) *atomic.Int64 {
	s := &b.shards[uint64(class)%uint64(len(b.shards))]
	if c := (*s.classes.Load())[class]; c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := *s.classes.Load()
	if c := known[class]; c != nil {
		return c
	}
	c := new(atomic.Int64)
	more := maps.Clone(known)
	more[class] = c
	s.classes.Store(&more)
	return c
}
