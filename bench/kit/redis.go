//go:build linux

package kit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// Redis is a Redis server of the lab, without persistence.
type Redis struct {
	// URL is its ROLLCALL_REDIS_URL.
	URL    string
	client *redis.Client
}

// StartRedis starts a server. The lab stops it at the end.
func (l *Lab) StartRedis() (*Redis, error) {
	l.Log("starting Redis")
	server, err := testenv.StartRedis()
	if err != nil {
		return nil, err
	}
	l.atEnd(server.Stop)
	client, err := redis.Open(server.URL())
	if err != nil {
		return nil, err
	}
	l.atEnd(client.Close)
	return &Redis{URL: server.URL(), client: client}, nil
}

// Setting is the setting of a node that uses the server.
func (r *Redis) Setting() string { return "ROLLCALL_REDIS_URL=" + r.URL }

// CPU returns the processor time of the server's main thread, which executes all commands.
func (r *Redis) CPU(ctx context.Context) (time.Duration, error) {
	var total float64
	for _, field := range []string{"used_cpu_user_main_thread", "used_cpu_sys_main_thread"} {
		seconds, err := r.info(ctx, "cpu", field)
		if err != nil {
			return 0, err
		}
		total += seconds
	}
	return time.Duration(total * float64(time.Second)), nil
}

// Memory returns how many bytes the server has allocated, those of its connections included.
func (r *Redis) Memory(ctx context.Context) (float64, error) {
	return r.info(ctx, "memory", "used_memory")
}

// info returns a number that the server reports about itself.
func (r *Redis) info(ctx context.Context, section, field string) (float64, error) {
	text, err := r.client.Do(ctx, r.client.B().Info().Section(section).Build()).ToString()
	if err != nil {
		return 0, fmt.Errorf("INFO of Redis: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("INFO of Redis has no %s", field)
}
