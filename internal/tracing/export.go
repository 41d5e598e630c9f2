package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxWaiting is how many spans wait for their export, which bounds the memory that they take
	// while the receiver is away. More are dropped.
	maxWaiting = 8192
	// batchSize is how many spans one request has.
	batchSize = 1024
	// requestTimeout limits one request, and exportTimeout the attempts to export a batch.
	requestTimeout = 10 * time.Second
	exportTimeout  = 30 * time.Second
	// retryPause is the pause before the first repetition of a request. Each further one is twice as
	// long.
	retryPause = 500 * time.Millisecond
)

// tracesPath is the path of OTLP over HTTP.
const tracesPath = "/v1/traces"

// CheckURL returns the URL to which spans are sent for that of a receiver, which may have no path.
func CheckURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("must be an address such as http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return u.String(), nil
}

// client sends spans by OTLP over HTTP. The module's own exporter for HTTP links gRPC, which would
// make the binary 6 MB larger.
type client struct {
	url     string
	headers map[string]string
	http    *http.Client
}

var _ otlptrace.Client = (*client)(nil)

func newClient(o Options) *client {
	return &client{url: o.URL, headers: o.Headers, http: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop closes the connections.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans, and sends them again while the receiver is overloaded or away.
func (c *client) UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error {
	// It has the encoding of an ExportTraceServiceRequest.
	message, err := proto.Marshal(&otlp.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	packed := gzip.NewWriter(&body)
	_, _ = packed.Write(message) // a Buffer takes everything
	_ = packed.Close()
	for pause := retryPause; ; pause *= 2 {
		again, err := c.post(ctx, body.Bytes())
		if err == nil || !again {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// post makes one request. again reports whether a later one may succeed.
func (c *client) post(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := c.http.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return false, nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the receiver responds with status %d", resp.StatusCode)
}

// queue has the spans that have ended, until they are exported. It never makes callers wait.
type queue struct {
	sdk.SpanProcessor // the SDK's, which exports batches and never has more than maxWaiting spans
	exporter          sdk.SpanExporter
	waiting           atomic.Int64
	spans             *prometheus.CounterVec
	exported          prometheus.Counter
	failed            prometheus.Counter
	dropped           prometheus.Counter
	warn              func(ctx context.Context, message string, args ...any)
}

func newQueue(exporter sdk.SpanExporter, warn func(ctx context.Context, message string, args ...any)) *queue {
	q := &queue{exporter: exporter, warn: warn, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_trace_spans_total", Help: "Spans by result: exported, failed, or dropped because too many waited for their export.",
	}, []string{"result"})}
	q.exported, q.failed, q.dropped = q.spans.WithLabelValues("exported"), q.spans.WithLabelValues("failed"), q.spans.WithLabelValues("dropped")
	q.SpanProcessor = sdk.NewBatchSpanProcessor(exports{q}, sdk.WithMaxQueueSize(maxWaiting),
		sdk.WithMaxExportBatchSize(batchSize), sdk.WithBatchTimeout(exportPause), sdk.WithExportTimeout(exportTimeout))
	return q
}

// OnEnd adds a span, or drops it if too many wait.
func (q *queue) OnEnd(span sdk.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > maxWaiting {
		q.waiting.Add(-1)
		q.dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(span)
}

// exports are the exports of a queue.
type exports struct{ *queue }

// ExportSpans exports a batch. Failures are counted and logged, not returned.
func (q exports) ExportSpans(ctx context.Context, batch []sdk.ReadOnlySpan) error {
	defer q.waiting.Add(-int64(len(batch)))
	err := q.exporter.ExportSpans(ctx, batch)
	if err != nil {
		q.failed.Add(float64(len(batch)))
		q.warn(ctx, "traces cannot be exported", "error", err)
		return nil
	}
	q.exported.Add(float64(len(batch)))
	return nil
}

// Shutdown ends the exporter.
func (q exports) Shutdown(ctx context.Context) error { return q.exporter.Shutdown(ctx) }
