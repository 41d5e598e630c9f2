package transport

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
)

type metrics struct {
	connections           prometheus.Gauge
	streams               prometheus.Gauge
	subscriptions         prometheus.Gauge
	closes                *prometheus.CounterVec
	requests              *prometheus.CounterVec
	receiving             prometheus.Gauge
	receivingRefused      prometheus.Counter
	guestResponses        prometheus.Gauge
	guestResponsesRefused prometheus.Counter
	persisted             *prometheus.CounterVec
	persistedBytes        prometheus.Gauge
	seconds               map[ast.Operation]prometheus.Observer
}

// newMetrics creates the transports' metrics and registers them if registry is not nil.
func newMetrics(registry prometheus.Registerer) *metrics {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rollcall_request_seconds",
		Help:    "Time to execute an operation; of a subscription, to start it.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"type"})
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_websocket_connections", Help: "Open WebSockets.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_sse_streams", Help: "Open SSE streams.",
		}),
		subscriptions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_subscriptions", Help: "Running subscription operations.",
		}),
		closes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_websocket_closes_total", Help: "Ended WebSockets by close code; 1006: the link broke.",
		}, []string{"code"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_http_requests_total", Help: "HTTP requests that were responded to.",
		}, []string{"transport", "status"}),
		receiving: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_receiving_bytes", Help: "Memory reserved for bodies and messages that are being received.",
		}),
		receivingRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_receiving_refused_total", Help: "Bodies and messages refused because too many are being received.",
		}),
		guestResponses: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_guest_response_bytes", Help: "Memory reserved for responses to guests that are being sent.",
		}),
		guestResponsesRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_guest_responses_refused_total", Help: "Responses to guests replaced by an error because too many are being sent.",
		}),
		persisted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_persisted_queries_total", Help: "Persisted queries by result: found, not_found or stored.",
		}, []string{"result"}),
		persistedBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_persisted_query_bytes", Help: "Memory taken by the documents of persisted queries.",
		}),
		seconds: make(map[ast.Operation]prometheus.Observer),
	}
	for _, kind := range []ast.Operation{ast.Query, ast.Mutation, ast.Subscription} {
		m.seconds[kind] = seconds.WithLabelValues(string(kind))
	}
	if registry != nil {
		registry.MustRegister(m.connections, m.streams, m.subscriptions, m.closes, m.requests, m.receiving, m.receivingRefused, m.guestResponses, m.guestResponsesRefused,
			m.persisted, m.persistedBytes, seconds)
	}
	return m
}

// observe records the execution time of an operation that began at that time and has ended now.
func (m *metrics) observe(kind ast.Operation, began time.Time) {
	m.seconds[kind].Observe(time.Since(began).Seconds())
}

// closed counts an ended WebSocket. A code that the client chose itself counts as "other".
func (m *metrics) closed(how closing) {
	label := strconv.Itoa(int(how.code))
	if how.code > 1015 && (how.code < 4400 || how.code > 4500) {
		label = "other"
	}
	m.closes.WithLabelValues(label).Inc()
}
