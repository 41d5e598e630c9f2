package throttle

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed begin.lua
	beginLua string
	//go:embed takeback.lua
	takeBackLua string

	beginScript    = rueidis.NewLuaScript(beginLua)
	takeBackScript = rueidis.NewLuaScript(takeBackLua)
)

// redisTimeout is how long an attempt waits for Redis before it is counted in this process.
const redisTimeout = 500 * time.Millisecond

func (t *Throttle) beginShared(ctx context.Context, keys []Key) (*Refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	args := make([]string, 0, 4*len(keys))
	for _, key := range keys {
		args = append(args, strconv.Itoa(key.Rule.Free),
			micros(key.Rule.Delay), micros(key.Rule.MaxDelay), strconv.FormatInt(key.Rule.Memory.Milliseconds(), 10))
	}
	found, err := beginScript.Exec(ctx, t.redis.Client, t.names(keys), args).AsIntSlice()
	if err != nil {
		return nil, fmt.Errorf("counting attempts in Redis: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &Refusal{Wait: time.Duration(found[0]) * time.Microsecond, Rule: keys[found[1]-1].Rule}, nil
}

func (t *Throttle) takeBackShared(ctx context.Context, keys []Key, forgive bool) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	args := make([]string, len(keys))
	for i, key := range keys {
		args[i] = strconv.FormatBool(forgive && key.Rule.Forgive)
	}
	if err := takeBackScript.Exec(ctx, t.redis.Client, t.names(keys), args).Error(); err != nil {
		return fmt.Errorf("taking back an attempt in Redis: %w", err)
	}
	return nil
}

// names returns the keys' names in Redis.
func (t *Throttle) names(keys []Key) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = t.redis.Key("failures:" + key.id())
	}
	return names
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }
