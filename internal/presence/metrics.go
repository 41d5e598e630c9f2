package presence

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the figures of a hub.
type metrics struct {
	// devices is how many devices are connected to this process.
	devices                           atomic.Int64
	onlineUsers                       prometheus.Gauge
	events, deliveries, writeFailures prometheus.Counter
	redisFailures, nodesSwept         prometheus.Counter
	writeSeconds                      prometheus.Histogram
}

// newMetrics registers the metrics on r, or nowhere if it is nil.
func newMetrics(r prometheus.Registerer) *metrics {
	factory := promauto.With(r)
	m := &metrics{
		onlineUsers: factory.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_online_users", Help: "Users with at least one device connected to this process.",
		}),
		events: factory.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_status_events_total", Help: "Changes of a user's status.",
		}),
		deliveries: factory.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_status_deliveries_total", Help: "Status changes handed to a subscription.",
		}),
		writeSeconds: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "rollcall_presence_write_seconds",
			Help:    "How long the database took for a batch of statuses.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		redisFailures: factory.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_presence_redis_failures_total", Help: "Steps in Redis that failed or timed out.",
		}),
		nodesSwept: factory.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_presence_nodes_swept_total", Help: "Nodes whose devices this node has removed after their lease had lapsed.",
		}),
		writeFailures: factory.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_presence_write_failures_total", Help: "Batches of statuses that could not be written; they are retried.",
		}),
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_devices", Help: "Devices connected to this process.",
	}, func() float64 { return float64(m.devices.Load()) })
	return m
}

// observe registers the metrics of the registry on r, or nowhere if it is nil.
func (*metrics) observe(r prometheus.Registerer, statuses registry) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_presence_unwritten", Help: "Users whose status is still to be written to the database.",
	}, func() float64 { return float64(statuses.Unwritten()) })
}
