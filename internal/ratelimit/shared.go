package ratelimit

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/redis"
)

//go:embed allow.lua
var allowLua string

var allowScript = rueidis.NewLuaScript(allowLua)

// Shared is a Limiter for all nodes of a service together, by the clock of their
// Redis, which forgets keys that have not called for a window.
type Shared struct {
	redis  *redis.Client
	limit  int
	window time.Duration
}

// NewShared answers a Shared that grants limit calls in any window.
func NewShared(client *redis.Client, limit int, window time.Duration) *Shared {
	return &Shared{redis: client, limit: limit, window: window}
}

// Allow grants a call, or answers how long to wait for one, more than 0. What is
// refused does not count.
func (s *Shared) Allow(ctx context.Context, key string) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	micros, err := allowScript.Exec(ctx, s.redis.Client, []string{s.redis.Key("rate:" + key)},
		[]string{strconv.Itoa(s.limit), strconv.FormatInt(s.window.Microseconds(), 10)}).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("counting calls in Redis: %w", err)
	}
	return time.Duration(micros) * time.Microsecond, nil
}
