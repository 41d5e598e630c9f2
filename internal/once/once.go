// Package once does background work for the whole service at one node at a time.
//
// Each node wants the work to be done: after its start, or after a failure. A run that another node
// begins after that is as good as one of its own, so it looks for the end of such a run before it
// begins one. Runs are numbered in Redis, where the node that runs also has a lease. Nothing there must
// last: if it is lost, work is done once more, or by two nodes at once, which each Work must allow.
package once

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/outage"
	"rollcall/internal/redis"
)

var (
	//go:embed begin.lua
	beginLua string
	//go:embed renew.lua
	renewLua string
	//go:embed end.lua
	endLua string

	beginScript = rueidis.NewLuaScript(beginLua)
	renewScript = rueidis.NewLuaScript(renewLua)
	endScript   = rueidis.NewLuaScript(endLua)
)

const (
	// leaseLength is how long a node has the work after it last renewed its lease: if it dies, another
	// node takes over within that time and one turn.
	leaseLength = 5 * time.Second
	// renewal is how often the node that runs renews the lease.
	renewal = time.Second
	// turn is how often a node that waits looks at what the others do.
	turn = time.Second
	// retryPause is the pause after an error.
	retryPause = 5 * time.Second
	// maxPause is the maximum length of Pause.
	maxPause = 10 * time.Second
)

// Work is one kind of work. All methods may be called from any goroutine.
type Work struct {
	redis *redis.Client
	name  string
}

// New returns the work with that name. If client is nil, this node is alone.
func New(client *redis.Client, name string) *Work { return &Work{client, name} }

// Begun returns the number of the last run that has begun at any node.
func (w *Work) Begun(ctx context.Context) (int64, error) { return w.number(ctx, "begun") }

// Done reports whether a run has succeeded that was begun after Begun returned since.
func (w *Work) Done(ctx context.Context, since int64) (bool, error) {
	done, err := w.number(ctx, "done")
	return done > since, err
}

// number returns a field of the key with the runs, or 0 if there is none.
func (w *Work) number(ctx context.Context, field string) (int64, error) {
	if w.redis == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	key := w.redis.Key("once:" + w.name + ":runs")
	n, err := w.redis.Do(ctx, w.redis.B().Hget().Key(key).Field(field).Build()).AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return 0, fmt.Errorf("reading which node does %q: %w", w.name, err)
	}
	return n, nil
}

// Try calls do unless another node does the work, and reports whether it did. The context of do ends
// when this node can no longer be sure that it alone does the work.
func (w *Work) Try(ctx context.Context, do func(context.Context) error) (ran bool, err error) {
	if w.redis == nil {
		return true, do(ctx)
	}
	owner := rand.Text()
	asked := time.Now()
	number, err := w.script(ctx, beginScript, owner, leaseLength.Milliseconds())
	if err != nil || number == 0 {
		return false, err
	}
	running, cancel := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		defer cancel()
		w.renew(running, owner, asked.Add(leaseLength))
	}()
	err = do(running)
	if err == nil {
		err = running.Err()
	}
	cancel()
	<-renewed
	succeeded := int64(0)
	if err == nil {
		succeeded = number
	}
	if _, lost := w.script(context.WithoutCancel(ctx), endScript, owner, succeeded); err == nil {
		err = lost
	}
	return true, err
}

// renew renews the lease, which ends at that time, until ctx ends or the lease is lost.
func (w *Work) renew(ctx context.Context, owner string, end time.Time) {
	ticker := time.NewTicker(renewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(end)):
			return
		case <-ticker.C:
		}
		asked := time.Now()
		limited, cancel := context.WithDeadline(ctx, end)
		held, err := w.script(limited, renewScript, owner, leaseLength.Milliseconds())
		cancel()
		if err == nil && held == 0 {
			return
		}
		if err == nil {
			end = asked.Add(leaseLength)
		}
	}
}

func (w *Work) script(ctx context.Context, s *rueidis.Lua, owner string, number int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	args := []string{"once:" + w.name, owner, strconv.FormatInt(number, 10)}
	n, err := s.Exec(ctx, w.redis.Client, w.redis.ScriptKeys(), args).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("agreeing with other nodes on %q: %w", w.name, err)
	}
	return n, nil
}

// Run returns when the work has been done here or at another node, in a run that began after the call,
// or when ctx ends. It tries again after errors, which it logs.
func (w *Work) Run(ctx context.Context, log *slog.Logger, do func(context.Context) error) {
	since := int64(-1)
	for {
		finished, err := w.step(ctx, &since, do)
		if finished || ctx.Err() != nil || err != nil && outage.CallerGone(ctx, err) {
			return
		}
		pause := turn
		if err != nil {
			log.WarnContext(ctx, "work in the background failed; retrying", "work", w.name, "error", err)
			pause = retryPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// step does the work unless another node does it, and reports whether it is done. since is what Begun
// returned before, or -1.
func (w *Work) step(ctx context.Context, since *int64, do func(context.Context) error) (finished bool, err error) {
	if *since < 0 {
		begun, err := w.Begun(ctx)
		if err != nil {
			return false, err
		}
		*since = begun
	} else if finished, err = w.Done(ctx, *since); finished || err != nil {
		return finished, err
	}
	ran, err := w.Try(ctx, do)
	return ran && err == nil, err
}

// Pause waits for as long as has passed since began, at most 10 s, so that work that is done in pages
// takes at most half of the time of what it asks. It returns the error of ctx if that ends first.
func Pause(ctx context.Context, began time.Time) error {
	select {
	case <-time.After(min(time.Since(began), maxPause)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
