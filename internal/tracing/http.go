package tracing

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// header is the header of W3C Trace Context that is read and written. Its companions tracestate and
// baggage may have data of others, and are neither.
const header = "traceparent"

// parent returns ctx with the remote span that a traceparent names, or ctx if it is invalid.
func parent(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{header: traceparent})
}

// Traceparent returns the traceparent of ctx's span if it is recorded, or "".
func Traceparent(ctx context.Context) string {
	if !opened.Load() || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// Call begins the span of a request to another server, which continues the trace of traceparent or,
// if that is "", begins one. It returns ctx and nil unless ctx is of a Tracer.
func Call(ctx context.Context, name, traceparent string) (context.Context, *Span) {
	t, _ := ctx.Value(tracerKey{}).(*Tracer)
	return t.root(parent(ctx, traceparent), name, trace.SpanKindClient)
}

// Inject adds the traceparent of ctx's span to the headers of a request, if it has one.
func Inject(ctx context.Context, h http.Header) {
	if opened.Load() && trace.SpanContextFromContext(ctx).IsValid() {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		h.Set(header, carrier[header])
	}
}

// Handler returns next with a span for each request. It is next itself if tracing is off.
//
// The span of a WebSocket ends with the handshake, and that of an event stream with the header of the
// response: either may stay open for days.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := known(r.Method)
		answer := &response{ResponseWriter: w}
		ctx := context.WithValue(parent(r.Context(), r.Header.Get(header)), responseKey{}, answer)
		ctx, answer.span = t.root(ctx, method, trace.SpanKindServer, attribute.String("http.request.method", method))
		answer.request = r.WithContext(ctx)
		defer answer.end()
		next.ServeHTTP(answer, answer.request)
	})
}

// known returns the method if it is a usual one. Callers can send any text.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// response is the response to a request with a span.
type response struct {
	http.ResponseWriter
	request *http.Request
	span    *Span
	status  int
	// route is the pattern of a route that the outer routes do not know, or "".
	route string
	ended bool
}

type responseKey struct{}

// SetRoute sets the pattern of the request's route, for a handler with routes of its own.
func SetRoute(ctx context.Context, pattern string) {
	if !opened.Load() {
		return
	}
	if w, _ := ctx.Value(responseKey{}).(*response); w != nil {
		w.route = pattern
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		w.end()
	}
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// end ends the span, once.
func (w *response) end() {
	if w.ended {
		return
	}
	w.ended = true
	if route := cmp.Or(w.route, w.request.Pattern); route != "" {
		if _, path, found := strings.Cut(route, " "); found {
			route = path
		}
		w.span.Name(known(w.request.Method) + " " + route)
		w.span.Text("http.route", route)
	}
	status := cmp.Or(w.status, http.StatusOK)
	w.span.Number("http.response.status_code", status)
	if status >= 500 {
		w.span.Failed(strconv.Itoa(status))
	}
	w.span.End(nil)
}
