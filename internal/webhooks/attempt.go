package webhooks

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/outbox"
	"rollcall/internal/tracing"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// attemptTimeout limits an attempt, from the connection to the end of the response.
	attemptTimeout = 15 * time.Second
	// responseRead is how many bytes of a response are read, and responseKept how many characters
	// of it are stored.
	responseRead = 64 << 10
	responseKept = 200
	// maxRetryAfter is the longest Retry-After that is honoured.
	maxRetryAfter = 24 * time.Hour
)

// newClient returns what calls endpoints. It follows no redirects and uses no proxy, so it connects
// only to addresses that were checked.
func newClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: attemptTimeout}
	if !allowPrivate {
		dialer.Control = refusePrivate
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    concurrency,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    attemptTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// due is a delivery that is due, with its event.
type due struct {
	models.Delivery
	UID        string
	Type       string
	Subject    string
	Version    models.Time
	OccurredAt models.Time
	Data       string
	Personal   *string
	// Traceparent is that of the change.
	Traceparent *string
}

// dueColumns are the columns of due.
const dueColumns = "deliveries.*, e.uid, e.type, e.subject, e.version, e.occurred_at, e.data, e.personal, e.traceparent"

// envelope is the body of a delivery.
type envelope struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	AppKey    string          `json:"appKey"`
	Data      json.RawMessage `json:"data"`
}

// body returns the body of a delivery.
func (d *due) body(appKey string) ([]byte, error) {
	data, err := outbox.Complete(outbox.Type(d.Type), d.Data, d.Personal)
	if err != nil {
		return nil, fmt.Errorf("reading the event %s: %w", d.UID, err)
	}
	return json.Marshal(envelope{ID: d.UID, Type: d.Type, Timestamp: d.OccurredAt.String(), AppKey: appKey, Data: data})
}

// target is an endpoint that a batch is sent to.
type target struct {
	endpoint *models.WebhookEndpoint
	appKey   string
	secrets  [][]byte
}

// result is the end of an attempt.
type result struct {
	delivery *due
	// status is that of the response, or 0 if there was none.
	status int
	// problem is the beginning of a response that reports a failure, or why there was none.
	problem    string
	retryAfter time.Duration
	took       time.Duration
}

// succeeded reports whether the receiver has accepted the event.
func (r *result) succeeded() bool { return r.status >= 200 && r.status <= 299 }

// throttles reports whether the receiver cannot take other events now either.
func (r *result) throttles() bool {
	switch r.status {
	case 0, http.StatusGone, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return r.retryAfter > 0
}

// attempt sends a delivery once.
func (s *Service) attempt(ctx context.Context, to *target, d *due) *result {
	ctx, cancel := context.WithTimeout(ctx, s.timing.attempt)
	defer cancel()
	r := &result{delivery: d}
	ctx, span := tracing.Call(ctx, "webhook", *cmp.Or(d.Traceparent, new("")))
	span.Text("rollcall.event.type", d.Type)
	span.Number("http.request.resend_count", d.Attempts)
	begin := time.Now()
	err := s.call(ctx, to, r)
	r.took = time.Since(begin)
	r.end(span, err)
	if err != nil {
		r.status = 0
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // the URL need not be repeated
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s%s", noResponse, s.timing.attempt)
		}
		r.problem = err.Error()
	}
	r.problem = validate.Clip(r.problem, responseKept)
	return r
}

// end ends the span of an attempt.
func (r *result) end(span *tracing.Span, err error) {
	if err == nil {
		span.Number("http.response.status_code", r.status)
		if !r.succeeded() {
			span.Failed(strconv.Itoa(r.status))
		}
	}
	span.End(err)
}

// request returns the request of an attempt that begins now, and its body.
func (s *Service) request(ctx context.Context, to *target, d *due) (*http.Request, []byte, error) {
	body, err := d.body(to.appKey)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	// The clock of this process: receivers compare it with theirs.
	seconds := time.Now().Unix()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Rollcall/"+cmp.Or(s.opts.Version, "dev"))
	req.Header.Set("webhook-id", d.UID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(seconds, 10))
	tracing.Inject(ctx, req.Header)
	req.Header.Set(signatureHeader, signature(to.secrets, d.UID, seconds, body))
	return req, body, nil
}

// call makes the request of an attempt and notes the response in r.
func (s *Service) call(ctx context.Context, to *target, r *result) error {
	req, _, err := s.request(ctx, to, r.delivery)
	if err != nil {
		return err
	}
	// Not sent, but lets the client repeat the request on a new connection if the receiver has closed
	// the idle one that it was sent on. Events may arrive twice anyway.
	req.Header["Idempotency-Key"] = nil
	response, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, responseRead))
	r.status = response.StatusCode
	if r.succeeded() {
		return nil // whatever the body is
	}
	if err != nil {
		return err
	}
	r.problem = printable(string(text))
	r.retryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	return nil
}

// The texts of models.Delivery.LastError that are Rollcall's own. All others are of the receiver, of its
// address or of the network.
const (
	noResponse       = "no response within "
	endpointDisabled = "the endpoint is disabled"
)

// A Problem is why a delivery has no response, as far as the reason is Rollcall's own.
type Problem struct {
	// Disabled is true if the endpoint was disabled before the delivery was sent or sent again.
	Disabled bool
	// Timeout is how long Rollcall waited for the response, or 0.
	Timeout time.Duration
}

// ProblemOf returns what d.LastError says, or the zero Problem if the text is not Rollcall's own.
func ProblemOf(d *models.Delivery) (p Problem) {
	if d.LastError == nil {
		return p
	}
	if p.Disabled = *d.LastError == endpointDisabled; p.Disabled {
		return p
	}
	if text, found := strings.CutPrefix(*d.LastError, noResponse); found && d.LastStatus == 0 {
		p.Timeout, _ = time.ParseDuration(text)
	}
	return p
}

// printable returns text without control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, text)
}

// retryAfter returns the duration in a Retry-After header, in seconds or as a date (RFC 9110, section
// 10.2.3), from 0 to maxRetryAfter.
func retryAfter(header string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
