package testenv

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Traces is a receiver of spans.
type Traces struct {
	// URL is its address.
	URL string

	mu    sync.Mutex
	spans []*otlp.Span
	raw   []byte
}

// NewTraces starts a receiver of spans by OTLP over HTTP. The test fails if a request is malformed.
func NewTraces(tb testing.TB) *Traces {
	t := new(Traces)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message []byte
		var data otlp.TracesData
		unpacked, err := gzip.NewReader(r.Body)
		if err == nil {
			message, err = io.ReadAll(unpacked)
		}
		if err == nil {
			err = proto.Unmarshal(message, &data)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			tb.Errorf("%s %s with the headers %v: %v", r.Method, r.URL, r.Header, err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.raw = append(t.raw, message...)
		for _, node := range data.ResourceSpans {
			for _, scope := range node.ScopeSpans {
				t.spans = append(t.spans, scope.Spans...)
			}
		}
	}))
	tb.Cleanup(server.Close)
	t.URL = server.URL
	return t
}

// Spans returns the spans that have arrived, and Raw the messages.
func (t *Traces) Spans() []*otlp.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*otlp.Span(nil), t.spans...)
}

// Raw returns the messages that have arrived; see Spans.
func (t *Traces) Raw() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.raw)
}

// Find returns the spans of the trace with that name.
func (t *Traces) Find(trace, name string) (found []*otlp.Span) {
	for _, span := range t.Spans() {
		if span.Name == name && hex.EncodeToString(span.TraceId) == trace {
			found = append(found, span)
		}
	}
	return found
}

// Path returns the names of a span and those that it is below, up to the first whose parent has not
// arrived.
func (t *Traces) Path(span *otlp.Span) (names []string) {
	byID := make(map[string]*otlp.Span)
	for _, one := range t.Spans() {
		byID[string(one.SpanId)] = one
	}
	for ; span != nil; span = byID[string(span.ParentSpanId)] {
		names = append([]string{span.Name}, names...)
	}
	return names
}

// Attribute returns an attribute of a span as text, or "".
func Attribute(span *otlp.Span, key string) string {
	for _, one := range span.Attributes {
		if one.Key == key {
			if text := one.Value.GetStringValue(); text != "" {
				return text
			}
			return one.Value.String()
		}
	}
	return ""
}
