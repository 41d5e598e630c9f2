package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/testenv"
	"rollcall/internal/tracing"
)

// open returns a tracer that is closed at the end of the test.
func open(t *testing.T, url string, ratio float64) *tracing.Tracer {
	t.Helper()
	url, err := tracing.CheckURL(url)
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := tracing.Open(t.Context(), tracing.Options{URL: url, Ratio: ratio, Warn: func(context.Context, string, ...any) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = tracer.Close(ended)
	})
	return tracer
}

// request sends a request with that traceparent through the tracer's handler.
func request(tracer *tracing.Tracer, traceparent string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest(http.MethodGet, "/users/ann?name=ann", nil)
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	tracer.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
}

// TestRatio_CallersCannotRaiseIt checks that a caller can have its request left out, but not recorded.
func TestRatio_CallersCannotRaiseIt(t *testing.T) {
	const sampled, unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	for _, test := range []struct {
		ratio       float64
		traceparent string
		want        int
	}{{1, "", 1}, {1, sampled, 1}, {1, unsampled, 0}, {1, "malformed", 1}, {0, "", 0}, {0, sampled, 0}} {
		receiver := testenv.NewTraces(t)
		tracer := open(t, receiver.URL, test.ratio)
		request(tracer, test.traceparent)
		if err := tracer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		spans := receiver.Spans()
		if len(spans) != test.want {
			t.Errorf("ratio %g, %q: the spans are %v", test.ratio, test.traceparent, spans)
		}
		for _, span := range spans {
			if span.Name != "GET /users/{id}" || testenv.Attribute(span, "http.route") != "/users/{id}" {
				t.Errorf("the span is %v", span)
			}
		}
	}
}

// TestQueue_DropsAndCounts checks that spans are dropped and counted, and callers do not wait, while
// the receiver does not respond.
func TestQueue_DropsAndCounts(t *testing.T) {
	stuck := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer receiver.Close()
	defer close(stuck)
	tracer := open(t, receiver.URL, 1)
	metrics := prometheus.NewRegistry()
	tracer.Observe(metrics)
	const waiting, more = 8192, 100
	for range waiting + more {
		_, span := tracer.Message(t.Context(), "message")
		span.End(nil)
	}
	want := fmt.Sprintf("# HELP rollcall_trace_spans_total Spans by result: exported, failed, or dropped because too many waited for their export.\n"+
		"# TYPE rollcall_trace_spans_total counter\nrollcall_trace_spans_total{result=\"dropped\"} %d\n"+
		"rollcall_trace_spans_total{result=\"exported\"} 0\nrollcall_trace_spans_total{result=\"failed\"} 0\n", more)
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// TestExport_IsRepeated checks that spans arrive after the receiver was overloaded.
func TestExport_IsRepeated(t *testing.T) {
	var requests atomic.Int32
	receiver := testenv.NewTraces(t)
	behind, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		httputil.NewSingleHostReverseProxy(behind).ServeHTTP(w, r)
	}))
	defer front.Close()
	tracer := open(t, front.URL, 1)
	request(tracer, "")
	if err := tracer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spans := receiver.Spans(); len(spans) != 1 {
		t.Errorf("after %d requests, the spans are %v", requests.Load(), spans)
	}
}

// TestOff_CostsNothing checks that a process without a tracer neither wraps its handler nor allocates
// for a span, and that a span records no text of an error.
func TestOff_CostsNothing(t *testing.T) {
	var off *tracing.Tracer
	next := http.NewServeMux()
	if off.Handler(next) != http.Handler(next) {
		t.Error("the handler is wrapped")
	}
	ctx := t.Context()
	if off.With(ctx) != ctx {
		t.Error("the context is wrapped")
	}
	err := errors.New("planted")
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := tracing.Begin(ctx, "statement")
		span.Text("key", "value")
		span.End(err)
		tracing.Inject(ctx, nil)
		if tracing.Detached(ctx) != context.Background() || tracing.Traceparent(ctx) != "" {
			t.Error("there is a span")
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestSpan_HidesErrors checks that a span has the type of an error and not its text.
func TestSpan_HidesErrors(t *testing.T) {
	receiver := testenv.NewTraces(t)
	tracer := open(t, receiver.URL, 1)
	_, span := tracer.Message(t.Context(), "message")
	span.End(fmt.Errorf("wrapped: %w", errors.New("planted")))
	if err := tracer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := receiver.Spans()
	if len(spans) != 1 || testenv.Attribute(spans[0], "error.type") != "*errors.errorString" || strings.Contains(receiver.Raw(), "planted") {
		t.Errorf("the spans are %v", spans)
	}
}
