package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/redis"
)

//go:embed allow.lua
var allowLua string

var allowScript = rueidis.NewLuaScript(allowLua)

const (
	// sharedTimeout bounds how long one call waits for Redis before this node counts
	// by itself.
	sharedTimeout = time.Second
	// retryPause is how long this node counts by itself before it asks Redis again.
	retryPause = time.Second
)

// Shared is a Limiter for all nodes of a service together, by the clock of their
// Redis, which forgets users that have not called for a window. While Redis is
// unavailable each node counts for itself, so that what needs only the database
// goes on.
type Shared struct {
	redis *redis.Client
	local *Local
	log   *slog.Logger
	// localUntil is the Unix time in ns until which Redis is not asked.
	localUntil atomic.Int64
}

// NewShared returns a Shared.
func NewShared(client *redis.Client, log *slog.Logger) *Shared {
	return &Shared{redis: client, local: NewLocal(time.Now), log: log}
}

// Allow implements Limiter. It fails only if ctx ends, or because of a fault in the
// script.
func (s *Shared) Allow(ctx context.Context, rule Rule, user int64, n int) (wait time.Duration, err error) {
	until := s.localUntil.Load()
	now := time.Now()
	if now.UnixNano() < until {
		return s.local.Allow(ctx, rule, user, n)
	}
	// After a failure, one caller tries while the others do not wait for it.
	if until != 0 && !s.localUntil.CompareAndSwap(until, now.Add(sharedTimeout+retryPause).UnixNano()) {
		return s.local.Allow(ctx, rule, user, n)
	}
	asking, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	micros, err := allowScript.Exec(asking, s.redis.Client, []string{s.redis.Key(fmt.Sprintf("rate:%s:%d", rule.Name, user))},
		[]string{strconv.Itoa(rule.Limit), strconv.FormatInt(rule.Window.Microseconds(), 10), strconv.Itoa(n)}).AsInt64()
	switch {
	case err == nil:
		s.localUntil.Store(0)
		return time.Duration(micros) * time.Microsecond, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case !errors.Is(err, context.DeadlineExceeded) && !redis.Unavailable(err):
		return 0, fmt.Errorf("counting calls in Redis: %w", err)
	}
	if until == 0 {
		s.log.WarnContext(ctx, "Redis is unavailable; rates of users are counted for each node", "error", err)
	}
	s.localUntil.Store(time.Now().Add(retryPause).UnixNano())
	return s.local.Allow(ctx, rule, user, n)
}
