package node

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
)

// redisHealthInterval is the time between two checks of Redis. Readiness and the metric report the
// last result, so that a Redis that does not respond delays no probe.
const redisHealthInterval = time.Second

// redisHealth checks regularly whether Redis can be used.
type redisHealth struct {
	client *redis.Client
	// parts are where presence keeps the users: at all masters of a Redis Cluster.
	parts  []*redis.Client
	log    *slog.Logger
	usable prometheus.Gauge
	// primary is 1 for the addresses of the servers in use, which are shown.
	primary *prometheus.GaugeVec
	shown   []string
	// problem describes in a few words why Redis cannot be used; it is empty if it can.
	problem atomic.Value // of string
}

func newRedisHealth(client *redis.Client, metrics prometheus.Registerer, log *slog.Logger) *redisHealth {
	factory := promauto.With(metrics)
	h := &redisHealth{client: client, parts: client.Parts(status.Buckets), log: log, usable: factory.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_redis_usable", Help: "Whether Redis responds and takes changes: 1 or 0.",
	}), primary: factory.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_redis_primary", Help: "The address of the Redis server in use, or those of the masters of a Redis Cluster.",
	}, []string{"address"})}
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "rollcall_redis_primary_switches_total", Help: "How often another server has become the primary of Redis, or slots of a Redis Cluster have moved to other masters.",
	}, func() float64 { return float64(client.Switches()) })
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

// show makes the metric show the addresses of the servers in use.
func (h *redisHealth) show(addresses []string) {
	if slices.Equal(addresses, h.shown) {
		return
	}
	h.primary.Reset()
	for _, address := range addresses {
		h.primary.WithLabelValues(address).Set(1)
	}
	h.shown = addresses
}

func (h *redisHealth) check(ctx context.Context) {
	err := h.client.AllWritable(ctx, h.parts)
	if ctx.Err() != nil {
		return
	}
	h.show(h.client.Primaries())
	problem := redis.Problem(err)
	if problem == h.problem.Load() {
		return
	}
	defer h.problem.Store(problem)
	if problem != "" {
		h.usable.Set(0)
		h.log.WarnContext(ctx, "degraded: "+problem+"; devices cannot connect, status reads and updates fail",
			"redis", h.client.String(), "primary", h.client.Primaries(), "error", err)
		return
	}
	h.usable.Set(1)
	h.log.InfoContext(ctx, "no longer degraded: Redis takes changes again", "redis", h.client.String(), "primary", h.client.Primaries())
}
