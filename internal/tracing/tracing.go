// Package tracing records OpenTelemetry spans and exports them by OTLP over HTTP.
//
// A process without a Tracer records nothing: a nil *Tracer is valid and does nothing, and Begin
// costs one load. Spans have no personal data: no IDs, names, tokens, addresses, values of statements
// or texts of errors, which may repeat such values.
//
// A request or a task begins a trace with a Tracer. What it calls begins spans below that with Begin,
// which needs only the context.
package tracing

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxText is the maximum length of a text in a span, in characters. It has room for all statements
// except those with hundreds of values.
const maxText = 4096

// Options are what a Tracer needs.
type Options struct {
	// URL is where the spans are sent, without a password. CheckURL has checked it.
	URL string
	// Headers are sent with the spans, and may hold the key of an account.
	Headers map[string]string
	// Ratio is how many of the traces are recorded, from 0 to 1.
	Ratio float64
	// Version is the release, and Instance the name of the node.
	Version, Instance string
	// Warn logs failed exports. There may be one for each batch.
	Warn func(ctx context.Context, message string, args ...any)
}

// Tracer records and exports spans. If it is nil, tracing is off.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	queue    *queue
}

// opened reports whether the process has a Tracer.
var opened atomic.Bool

// Open returns a Tracer. Close ends it. An unreachable receiver is no error.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	// The variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES replace and add attributes.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "rollcall"),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Instance),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptrace.New(ctx, newClient(o))
	if err != nil {
		return nil, fmt.Errorf("preparing the export of traces: %w", err)
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxText
	q := newQueue(exporter, o.Warn)
	provider := sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithRawSpanLimits(limits), sdk.WithSpanProcessor(q), sdk.WithSampler(sampler(o.Ratio)))
	opened.Store(true)
	return &Tracer{provider, provider.Tracer("rollcall"), q}, nil
}

// sampler decides which traces are recorded. Callers are not trusted: they can have their requests
// left out, and otherwise the ratio applies, so that they cannot have more recorded. It is decided by
// the ID of the trace, so that all nodes decide alike.
func sampler(ratio float64) sdk.Sampler {
	byID := sdk.TraceIDRatioBased(ratio)
	return sdk.ParentBased(byID, sdk.WithRemoteParentSampled(byID))
}

// Observe registers the metrics.
func (t *Tracer) Observe(r prometheus.Registerer) {
	if t != nil {
		r.MustRegister(t.queue.spans)
	}
}

// Flush exports the spans that have ended, for at most as long as ctx.
func (t *Tracer) Flush(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.ForceFlush(ctx)
}

// Close exports what has ended, for at most as long as ctx, and ends the Tracer.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

type tracerKey struct{}

// With returns a context under which Task begins traces.
func (t *Tracer) With(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, tracerKey{}, t)
}

// Task begins the trace of a task in the background. It returns ctx and nil unless ctx is of a
// Tracer.
func Task(ctx context.Context, name string) (context.Context, *Span) {
	t, _ := ctx.Value(tracerKey{}).(*Tracer)
	return t.root(ctx, name, trace.SpanKindInternal)
}

// Message begins the trace of a message of a client that is no HTTP request. It returns ctx and nil if
// tracing is off.
func (t *Tracer) Message(ctx context.Context, name string) (context.Context, *Span) {
	return t.root(ctx, name, trace.SpanKindServer)
}

// root begins the first span of this process in a trace: in that of a remote span in ctx, or in a new
// one. It returns ctx and nil if tracing is off.
func (t *Tracer) root(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	return ctx, &Span{span}
}

// exportPause is the time after which spans are exported although few have ended.
const exportPause = 5 * time.Second
