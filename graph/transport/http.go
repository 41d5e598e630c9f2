package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/tidwall/gjson"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/internal/admission"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
)

const allowedMethods = "GET, POST, OPTIONS"

// statusClientGone is the status counted for an exchange whose client left before the response.
const statusClientGone = 499

// statusBusy asks the client to try again.
const statusBusy = http.StatusServiceUnavailable

// exchange is one HTTP request and its response.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	// ctx is r's context, with the principal.
	ctx    context.Context
	began  time.Time
	accept acceptance

	// Set on the way, for logs and metrics.
	transport string
	operation string
	status    int

	// place is that of the operation of a caller with a token.
	place admission.Place
	// leave releases the place of a guest's operation, and sending counts the response to it. leave
	// is nil for other callers.
	leave   func()
	sending reservation

	// timer ends the waits of await. It is nil before the first.
	timer *time.Timer
	// mu orders the handler and the timer.
	mu sync.Mutex
	// waiting is set while the handler waits and writes nothing. late is set once the timer has
	// responded.
	waiting, late bool
	// verified is await's while waiting is set.
	verified func() bool
}

// ClientAddress returns the address that sent the request.
func (x *exchange) ClientAddress() string { return x.server.cfg.ClientAddress(x.r) }

// await calls wait, which may block while the database or Redis is unreachable, and reports whether
// the exchange still needs a response. After AuthTimeout, the server responds with UNAVAILABLE,
// unless verified reports that the caller has been verified by then. verified may be nil. wait must
// not touch the response.
func (x *exchange) await(verified func() bool, wait func()) (inTime bool) {
	x.mu.Lock()
	x.waiting, x.verified = true, verified
	x.mu.Unlock()
	if limit := x.server.cfg.Limits.AuthTimeout; x.timer == nil {
		x.timer = time.AfterFunc(limit, x.giveUp)
	} else {
		x.timer.Reset(limit)
	}
	defer func() {
		x.timer.Stop()
		x.mu.Lock()
		x.waiting = false
		inTime = !x.late
		x.mu.Unlock()
	}()
	wait()
	return
}

// errAuthTimeout refuses a caller that could not be verified in time.
var errAuthTimeout = fault.New(fault.Unavailable, "the caller could not be verified in time; try again")

// giveUp responds in place of a handler that still waits.
func (x *exchange) giveUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.waiting || x.verified != nil && x.verified() {
		return
	}
	x.late = true
	x.server.outages.Warn(x.ctx, "a caller could not be verified in time", "requestId", requestid.From(x.ctx))
	x.w.Header().Set("Connection", "close") // the handler still occupies it
	x.fail(errAuthTimeout)
	_ = http.NewResponseController(x.w).Flush() // fails only on a broken link
}

// serve responds to all requests except WebSocket upgrades.
func (x *exchange) serve() {
	switch x.r.Method {
	case http.MethodOptions:
		x.transport = "options"
		x.status = http.StatusNoContent
		if !x.server.origins.preflight(x.w, x.r) {
			x.server.warnOfOrigin(x.r)
		}
		return
	case http.MethodGet:
		x.transport = "get"
	case http.MethodPost:
		x.transport = "post"
	default:
		x.transport = "other"
		x.w.Header().Set("Allow", allowedMethods)
		x.refuse(bad(http.StatusMethodNotAllowed, "GraphQL requests need GET or POST"))
		return
	}
	var principal *auth.Principal
	var err error
	inTime := x.await(nil, func() {
		principal, err = x.server.cfg.Auth.Authenticate(x.ctx, x.r.Header.Get("Authorization"))
		if err == nil && principal.Kind == auth.User {
			principal, err = x.server.confirmUser(x.ctx, principal)
		}
	})
	switch {
	case !inTime:
		return
	case err != nil:
		x.fail(err)
		return
	}
	x.ctx = auth.With(x.ctx, principal)
	if x.accept.media == "" && !x.accept.stream {
		x.confirmed(func() {
			x.refuse(bad(http.StatusNotAcceptable, "the response can be %s, %s or %s", mediaJSON, mediaResponse, mediaStream))
		})
		return
	}
	params, refused := x.params()
	if refused != nil {
		x.confirmed(func() { x.refuse(refused) })
		return
	}
	x.execute(params)
}

// confirmed calls then, unless the caller's token turns out to be invalid: then it responds with
// that error.
func (x *exchange) confirmed(then func()) {
	ctx := x.ctx
	principal := auth.From(ctx)
	if principal.IsConfirmed() {
		then()
		return
	}
	var err error
	inTime := x.await(nil, func() { err = principal.Confirm(ctx) })
	switch {
	case !inTime:
	case err != nil:
		x.fail(err)
	default:
		then()
	}
}

// params reads the operation. For a guest it waits for a place before it parses anything, and
// counts the body as being received until then.
func (x *exchange) params() (*graphql.RawParams, *badRequest) {
	read := graphql.TraceTiming{Start: x.began}
	var params *graphql.RawParams
	var refused *badRequest
	if x.r.Method == http.MethodGet {
		if refused = x.enter(len(x.r.URL.RawQuery)); refused == nil {
			params, refused = getParams(x.r.URL.RawQuery)
		}
	} else {
		params, refused = x.postParams()
	}
	if refused == nil {
		read.End = time.Now()
		params.Headers, params.ReadTime = x.r.Header, read
		refused = x.server.complete(x.ctx, params)
	}
	return params, refused
}

// confirmUser returns the confirmed principal of a user, whose request is in flight meanwhile, but not while
// its body is received.
func (s *Server) confirmUser(ctx context.Context, p *auth.Principal) (*auth.Principal, error) {
	place, err := s.inFlight.enter(p)
	if err != nil {
		return nil, err
	}
	defer place.Leave()
	return p.Confirmed(ctx)
}

// execute runs the operation in the form that the caller accepts.
func (x *exchange) execute(params *graphql.RawParams) {
	var err error
	if x.place, err = x.server.inFlight.enter(auth.From(x.ctx)); err != nil {
		x.fail(err)
		return
	}
	opCtx, errs, refusal := x.server.prepare(x.ctx, params)
	if refusal != nil {
		x.confirmed(func() {
			// graphql-sse requires a stream for a document that does not validate, and a bad
			// request for one that cannot be parsed.
			if x.accept.streamFirst && isValidation(errs) {
				x.streamOnce(refusal)
			} else {
				x.respond(refusal)
			}
		})
		return
	}
	x.operation = opCtx.Operation.Name
	if opCtx.Operation.Operation == ast.Query {
		x.once(opCtx)
		return
	}
	x.confirmed(func() { x.change(opCtx) })
}

// change runs a mutation or a subscription.
func (x *exchange) change(opCtx *graphql.OperationContext) {
	switch kind := opCtx.Operation.Operation; {
	case kind == ast.Mutation && x.r.Method == http.MethodGet:
		x.w.Header().Set("Allow", http.MethodPost)
		x.refuse(bad(http.StatusMethodNotAllowed, "a mutation needs POST"))
	case kind == ast.Mutation:
		x.once(opCtx)
	case x.accept.stream:
		x.server.persisted.store(x.ctx, opCtx)
		x.place.Leave()
		x.stream(opCtx)
	default:
		x.refuse(bad(http.StatusBadRequest, "a subscription needs a WebSocket, or Accept: %s", mediaStream))
	}
}

// once runs an operation that has one response. A query may confirm the caller while it executes
// (see auth.Deferred); once confirms the caller before it responds in any case.
func (x *exchange) once(opCtx *graphql.OperationContext) {
	ctx := x.ctx
	var resp *graphql.Response
	if principal := auth.From(ctx); principal.IsConfirmed() {
		resp = x.server.dispatch(ctx, opCtx)
	} else if !x.await(principal.IsConfirmed, func() { resp = x.server.dispatch(ctx, opCtx) }) {
		return
	}
	if resp == nil && ctx.Err() != nil {
		x.status = statusClientGone
		return
	}
	confirmed := false
	x.confirmed(func() {
		confirmed = true
		x.server.persisted.store(ctx, opCtx)
	})
	if !confirmed {
		return
	}
	x.place.Leave() // a caller that reads slowly does not keep it
	// From here on opCtx is not used, so that the document is not kept while the response is sent.
	switch {
	case resp == nil:
		x.fail(context.Cause(ctx))
	case x.accept.streamFirst:
		x.streamOnce(resp)
	default:
		x.respond(resp)
	}
}

// isValidation reports whether a document was parsed but did not validate.
func isValidation(errs gqlerror.List) bool {
	return len(errs) > 0 && errs[0].Extensions["code"] != errcode.ParseFailed
}

// respond writes resp with the status that GraphQL over HTTP defines. For application/json that is
// 200 for every well-formed request, because clients older than GraphQL's own media type look at
// the body alone. If an outage has left no data, it is 503 for both.
func (x *exchange) respond(resp *graphql.Response) {
	status := http.StatusOK
	switch {
	case isUnavailable(resp):
		status = http.StatusServiceUnavailable
	case resp.Data == nil && x.accept.media != mediaJSON:
		status = http.StatusBadRequest
	}
	x.write(status, resp)
}

// isUnavailable reports whether resp has no data because of an outage.
func isUnavailable(resp *graphql.Response) bool {
	return slices.ContainsFunc(resp.Errors, func(err *gqlerror.Error) bool {
		return err.Extensions["code"] == string(fault.Unavailable)
	}) && !hasData(resp.Data)
}

// hasData reports whether a root field of the response is not null.
func hasData(data json.RawMessage) (has bool) {
	gjson.ParseBytes(data).ForEach(func(_, value gjson.Result) bool {
		has = value.Type != gjson.Null
		return !has
	})
	return has
}

// refuse responds to a request that is not executed. With status 200 the response has the form that
// the caller prefers.
func (x *exchange) refuse(b *badRequest) {
	if b.status == 0 {
		x.fail(b.cause)
		return
	}
	resp := x.server.failure(x.ctx, b.cause)
	if b.status == http.StatusOK && x.accept.streamFirst {
		x.streamOnce(resp)
	} else {
		x.write(b.status, resp)
	}
}

// fail writes an error that occurred before the operation, about the caller's rights or the
// server's state.
func (x *exchange) fail(err error) {
	if outage.CallerGone(x.ctx, err) {
		x.status = statusClientGone
		return
	}
	status := http.StatusInternalServerError
	switch outage.CodeOf(err) {
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	case fault.Unauthenticated:
		status = http.StatusUnauthorized
		x.w.Header().Set("WWW-Authenticate", "Bearer")
	case fault.UserBanned, fault.Forbidden:
		status = http.StatusForbidden
	case fault.RateLimited:
		status = http.StatusTooManyRequests
		x.w.Header().Set("Retry-After", retryAfterOf(err))
	}
	x.write(status, x.server.failure(x.ctx, err))
}

// retryAfterOf returns the Retry-After of a RATE_LIMITED error, in seconds.
func retryAfterOf(err error) string {
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		return "1"
	}
	ms, _ := refusal.Extensions["retryAfterMs"].(int64)
	return strconv.FormatInt((ms+999)/1000, 10)
}

// Headers of all responses. They are set without Header.Set, which allocates a slice for each
// value.
var (
	contentTypes = map[string][]string{
		mediaJSON:     {mediaJSON + "; charset=utf-8"},
		mediaResponse: {mediaResponse + "; charset=utf-8"},
	}
	noStore = []string{"no-store"}

	retryAfter = []string{strconv.Itoa(int(outage.RetryAfter / time.Second))}
)

func (x *exchange) write(status int, resp *graphql.Response) {
	media := x.accept.media
	if media == "" {
		media = mediaJSON
	}
	body := bodies.Get().(*bytes.Buffer)
	defer release(body)
	writeResponse(body, resp)
	if !x.executed(body.Len()) {
		body.Reset()
		status = statusBusy
		writeResponse(body, x.server.failure(x.ctx, errManyGuests))
	}
	h := x.w.Header()
	h["Content-Type"] = contentTypes[media]
	h["Content-Length"] = []string{strconv.Itoa(body.Len())}
	h["Cache-Control"] = noStore
	if status == http.StatusServiceUnavailable {
		h["Retry-After"] = retryAfter
	}
	h["Vary"] = append(h["Vary"], "Accept")
	x.status = status
	x.w.WriteHeader(status)
	if _, err := x.w.Write(body.Bytes()); err != nil {
		x.status = statusClientGone
	}
}

// finish counts and logs the exchange. If the handler panicked before anything was written, it
// responds with an internal error.
func (x *exchange) finish() {
	x.place.Leave()
	if x.leave != nil {
		defer x.leave()
		defer x.sending.release()
	}
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler || x.status != 0 {
			defer panic(cause)
		} else {
			x.write(http.StatusInternalServerError, x.server.panicked(x.ctx, cause))
		}
	}
	x.server.metrics.requests.WithLabelValues(x.transport, strconv.Itoa(x.status)).Inc()
	ctx := x.ctx
	if x.server.log.Enabled(ctx, slog.LevelDebug) {
		x.server.log.DebugContext(ctx, "request",
			"requestId", requestid.From(ctx), "transport", x.transport, "app", auth.From(ctx).AppKey(), "operation", x.operation,
			"status", x.status, "took", time.Since(x.began))
	}
}
