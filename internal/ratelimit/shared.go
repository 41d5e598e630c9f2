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

	"rollcall/internal/outage"
	"rollcall/internal/redis"
)

//go:embed allow.lua
var allowLua string

var allowScript = rueidis.NewLuaScript(allowLua)

const (
	// sharedTimeout bounds how long one call waits for Redis before this node counts by itself.
	sharedTimeout = time.Second
	// retryPause is how long this node counts by itself before it calls Redis again.
	retryPause = time.Second
)

// Shared is a Limiter for all nodes of a service together, by the clock of their Redis, which
// forgets users that have not called for a window. While Redis is unavailable each node counts by
// itself, so that operations that need only the database continue.
type Shared struct {
	redis *redis.Client
	local *Local
	log   *outage.Log
	// localUntil is the Unix time in ns until which Redis is not called.
	localUntil atomic.Int64
}

// NewShared returns a Shared.
func NewShared(client *redis.Client, log *slog.Logger) *Shared {
	return &Shared{redis: client, local: NewLocal(time.Now), log: outage.NewLog(log)}
}

// Allow implements Limiter. It returns an error only if ctx ends or if the script is faulty.
func (s *Shared) Allow(ctx context.Context, rule Rule, user int64, n int) (wait time.Duration, err error) {
	until := s.localUntil.Load()
	now := time.Now()
	if now.UnixNano() < until {
		return s.local.Allow(ctx, rule, user, n)
	}
	// After a failure, one caller tries Redis while the others count locally.
	if until != 0 && !s.localUntil.CompareAndSwap(until, now.Add(sharedTimeout+retryPause).UnixNano()) {
		return s.local.Allow(ctx, rule, user, n)
	}
	asking, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	micros, err := allowScript.Exec(asking, s.redis.Client, []string{s.redis.SpreadKey(fmt.Sprintf("rate:%s:%d", rule.Name, user))},
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
	s.log.Warn(ctx, "Redis is unavailable; each node counts users' rates by itself", "error", err)
	s.localUntil.Store(time.Now().Add(retryPause).UnixNano())
	return s.local.Allow(ctx, rule, user, n)
}
