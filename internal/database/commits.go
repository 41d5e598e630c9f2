package database

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"
)

// Commits follows the commits of the changes that are made under its context, for a caller that may
// stop waiting for them and must then tell what has become of them.
type Commits struct {
	mu sync.Mutex
	// begun is how many commits are under way, done whether one has succeeded, and lost whether the
	// result of one is unknown.
	begun      int
	done, lost bool
	// refusal is the error of later commits, or nil if they are possible. refused is true if one was
	// refused.
	refusal error
	refused bool
}

// Fate is what has become of changes.
type Fate int

// The fates.
const (
	// Nothing has been committed, and nothing will be.
	Nothing Fate = iota
	// Unknown means that a commit is under way, or that its result was lost.
	Unknown
	// Committed means that a commit has succeeded. Others may follow.
	Committed
)

// errGivenUp is the error of a change whose caller has given up. It was not committed.
var errGivenUp = fmt.Errorf("the caller no longer waits for the change: %w", context.DeadlineExceeded)

// ErrRehearsed is the error of a change under a Rehearsal. It was not committed.
var ErrRehearsed = errors.New("the change was only rehearsed")

// Rehearsal returns Commits under whose context nothing is committed. A transaction runs to its end, so
// that it finds everything that is wrong, and is rolled back with ErrRehearsed.
func Rehearsal() *Commits { return &Commits{refusal: ErrRehearsed} }

// Refused reports whether there was nothing wrong with a change except that it was not to be committed.
func (c *Commits) Refused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

type commitsKey struct{}

// Context returns a context under which c follows all commits.
func (c *Commits) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, commitsKey{}, c)
}

// commitsOf returns the Commits of a context, or nil if it has none.
func commitsOf(ctx context.Context) *Commits {
	c, _ := ctx.Value(commitsKey{}).(*Commits)
	return c
}

// GiveUp returns the fate of the changes. If that is Nothing, all later changes under the context
// fail.
func (c *Commits) GiveUp() Fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.begun > 0 || c.lost:
		return Unknown
	case c.done:
		return Committed
	}
	c.refusal = errGivenUp
	return Nothing
}

// begin must be called before a commit. If it returns an error, nothing may be committed.
func (c *Commits) begin() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		c.refused = true
		return c.refusal
	}
	c.begun++
	return nil
}

// end must be called with the result of a commit after begin has returned nil.
func (c *Commits) end(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun--
	switch {
	case err == nil:
		c.done = true
	case !undone(err):
		c.lost = true
	}
}

// follow returns fn with begin at its end, and a function that must be called with the result of the
// transaction.
func (c *Commits) follow(fn func(tx *gorm.DB) error) (followed func(tx *gorm.DB) error, end func(err error)) {
	begun := false
	followed = func(tx *gorm.DB) error {
		if err := fn(tx); err != nil {
			return err
		}
		err := c.begin()
		begun = err == nil
		return err
	}
	return followed, func(err error) {
		if begun {
			c.end(err)
		}
	}
}
