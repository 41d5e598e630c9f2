package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rollcall/internal/redis"
)

// redisHealthInterval is the time between two checks of Redis. Readiness and the metric report the
// last result, so that a Redis that does not respond delays no probe.
const redisHealthInterval = time.Second

// redisHealth checks regularly whether Redis can be used.
type redisHealth struct {
	client *redis.Client
	log    *slog.Logger
	usable prometheus.Gauge
	// problem describes in a few words why Redis cannot be used; it is empty if it can.
	problem atomic.Value // of string
}

func newRedisHealth(client *redis.Client, metrics prometheus.Registerer, log *slog.Logger) *redisHealth {
	h := &redisHealth{client: client, log: log, usable: promauto.With(metrics).NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_redis_usable", Help: "Whether Redis responds and takes changes: 1 or 0.",
	})}
	h.problem.Store("")
	h.usable.Set(1) // the connection has just been made
	return h
}

// run checks Redis until ctx ends.
func (h *redisHealth) run(ctx context.Context) {
	h.check(ctx)
	for pause(ctx, redisHealthInterval) {
		h.check(ctx)
	}
}

func (h *redisHealth) check(ctx context.Context) {
	err := h.client.Writable(ctx)
	if ctx.Err() != nil {
		return
	}
	problem := redis.Problem(err)
	if problem == h.problem.Load() {
		return
	}
	defer h.problem.Store(problem)
	if problem != "" {
		h.usable.Set(0)
		h.log.WarnContext(ctx, "degraded: "+problem+"; devices cannot connect, status reads and updates fail",
			"redis", h.client.String(), "error", err)
		return
	}
	h.usable.Set(1)
	h.log.InfoContext(ctx, "no longer degraded: Redis takes changes again", "redis", h.client.String())
}
