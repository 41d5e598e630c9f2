package webhooks

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/models"
)

// metrics are the metrics of this node's attempts, and of the queue of all nodes.
type metrics struct {
	deliveries *prometheus.CounterVec
	duration   prometheus.Histogram
	oldest     prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_webhook_deliveries_total", Help: "Attempts to deliver an event, by result: delivered, retried or failed.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rollcall_webhook_attempt_seconds", Help: "Duration of the attempts to deliver an event.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_webhook_queue_oldest_seconds", Help: "How long the oldest delivery has been due.",
		}),
	}
	for _, name := range []string{"delivered", "retried", "failed"} {
		m.deliveries.WithLabelValues(name)
	}
	return m
}

// Observe registers the metrics.
func (s *Service) Observe(r prometheus.Registerer) {
	r.MustRegister(s.metrics.deliveries, s.metrics.duration, s.metrics.oldest)
}

// measure sets the age of the queue.
func (s *Service) measure(ctx context.Context) error {
	var oldest *models.Time
	err := s.db.Read(ctx).Raw("SELECT MIN(next_at) FROM (SELECT "+s.nextAttempt()+" AS next_at FROM webhook_endpoints e JOIN apps a ON a.id = e.app_id AND a.disabled_at = 0 WHERE e.state = ?) q",
		models.DeliveryPending, models.EndpointEnabled).Scan(&oldest).Error
	if err != nil {
		return fmt.Errorf("measuring webhook deliveries: %w", err)
	}
	age := models.Time(0)
	if oldest != nil {
		age = max(0, s.now()-*oldest)
	}
	s.metrics.oldest.Set(float64(age) / 1000)
	return nil
}
