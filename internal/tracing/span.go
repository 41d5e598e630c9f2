package tracing

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Span is a part of a trace. A nil Span does nothing.
type Span struct{ span trace.Span }

// recorded returns the span of ctx if it is recorded and has not ended, or nil.
func recorded(ctx context.Context) trace.Span {
	if !opened.Load() {
		return nil
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return span
	}
	return nil
}

// On reports whether Begin would begin a span. Callers can ask it before they compute a name.
func On(ctx context.Context) bool { return recorded(ctx) != nil }

// Begin begins a span below that of ctx. It returns ctx and nil if that is not recorded or has ended.
func Begin(ctx context.Context, name string) (context.Context, *Span) {
	return begin(ctx, name, trace.SpanKindInternal)
}

// BeginCall is Begin for a call of another server.
func BeginCall(ctx context.Context, name string) (context.Context, *Span) {
	return begin(ctx, name, trace.SpanKindClient)
}

func begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, *Span) {
	parent := recorded(ctx)
	if parent == nil {
		return ctx, nil
	}
	return below(ctx, parent, name, kind)
}

// Continue is Begin for work that continues after the span of ctx has ended.
func Continue(ctx context.Context, name string) (context.Context, *Span) {
	if parent := trace.SpanFromContext(ctx); opened.Load() && parent.SpanContext().IsSampled() {
		return below(ctx, parent, name, trace.SpanKindInternal)
	}
	return ctx, nil
}

func below(ctx context.Context, parent trace.Span, name string, kind trace.SpanKind) (context.Context, *Span) {
	ctx, span := parent.TracerProvider().Tracer("rollcall").Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, &Span{span}
}

// Detached returns a context that has only the span of ctx, for work that others may join. It never
// ends.
func Detached(ctx context.Context) context.Context {
	span := recorded(ctx)
	if span == nil {
		return context.Background()
	}
	return trace.ContextWithSpan(context.Background(), span)
}

// Name changes the name.
func (s *Span) Name(name string) {
	if s != nil {
		s.span.SetName(name)
	}
}

// Text sets an attribute.
func (s *Span) Text(key, value string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number sets an attribute.
func (s *Span) Number(key string, value int) {
	if s != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Texts sets an attribute.
func (s *Span) Texts(key string, values []string) {
	if s != nil {
		s.span.SetAttributes(attribute.StringSlice(key, values))
	}
}

// Refused records the code of a refusal, which is no failure of the service.
func (s *Span) Refused(code string) { s.Text("error.type", code) }

// Failed records a failure by its code or kind.
func (s *Span) Failed(kind string) {
	if s != nil {
		s.span.SetStatus(codes.Error, "")
		s.Refused(kind)
	}
}

// End ends the span. Of err it records only the type, because its text may have personal data.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.Failed(kindOf(err))
	}
	s.span.End()
}

// kindOf returns the type of the innermost error.
func kindOf(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return fmt.Sprintf("%T", err)
}
