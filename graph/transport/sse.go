package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// The messages of graphql-sse. Its clients require data with every event, even if it is empty.
const (
	sseNextHead = "event: next\ndata: "
	sseTail     = "\n\n"
	sseComplete = "event: complete\ndata:\n\n"
	sseComment  = ":\n\n"
)

// sseStream is one subscription in distinct connections mode. The goroutine of its request writes;
// others only append to its queue.
type sseStream struct {
	server *Server
	// ctx is the request's context.
	ctx  context.Context
	peer peer

	ping pingTime

	mu sync.Mutex
	// principal is nil until the device is connected.
	principal *auth.Principal

	queue  queue
	corked int
	// commentDue is set if a comment must be sent, so that proxies do not take the stream for idle.
	commentDue bool
	// ending is set once nothing more is accepted. Only the queued messages and then last are still
	// to be written.
	ending bool
	// last returns the message that ends the stream. If nil, the link breaks instead, which makes
	// clients reconnect.
	last func() []byte
	// broken is set if the link must be dropped immediately.
	broken bool
	// wake has room for one signal that there is something to do.
	wake chan struct{}
}

// errGoingAway means that a stream breaks off because the server stops.
var errGoingAway = errors.New("the server is shutting down")

var (
	_ outlet      = (*sseStream)(nil)
	_ status.Link = (*sseStream)(nil)
)

// streamOnce writes a single response as a stream, unless it asks the caller to try again.
func (x *exchange) streamOnce(resp *graphql.Response) {
	if isUnavailable(resp) {
		x.respond(resp)
		return
	}
	body := slices.Concat([]byte(sseNextHead), encodeResponse(resp), []byte(sseTail+sseComplete))
	if !x.executed(len(body)) {
		x.fail(errManyGuests)
		return
	}
	x.beginStream()
	if _, err := x.w.Write(body); err != nil {
		x.status = statusClientGone
	}
}

// stream starts a subscription and writes its events until either side ends it. A user's stream is
// a device. Errors before the subscription has started are plain HTTP responses.
func (x *exchange) stream(opCtx *graphql.OperationContext) {
	x.transport = "sse"
	s, ctx := x.server, x.ctx
	st := &sseStream{
		server: s, ctx: ctx, peer: peerOf(x.r, x.ClientAddress()), ping: firstPing(s.pingInterval), wake: make(chan struct{}, 1),
	}
	from, err := s.addresses.enter(x.r)
	if err != nil {
		x.fail(err)
		return
	}
	defer s.addresses.leave(from)
	if !enter(s, s.streams, st) {
		x.fail(errDraining)
		return
	}
	defer leave(s, s.streams, st)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()

	if err := s.awaitConnect(ctx, auth.From(ctx)); err != nil {
		x.fail(fmt.Errorf("wait for the turn to connect: %w", err))
		return
	}
	if principal := auth.From(ctx); principal.Kind == auth.User {
		platform := models.PlatformOf(x.r.Header.Get(headerPlatform))
		var device *status.Device
		inTime := x.await(nil, func() {
			ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.AuthTimeout)
			defer cancel()
			if err = s.limitConnects(ctx, principal); err != nil {
				return
			}
			device, err = s.cfg.Presence.Connect(ctx, principal.Account(), platform, st, func(ctx context.Context) (err error) {
				principal, err = s.confirmed(ctx, x.r.Header.Get("Authorization"))
				return err
			})
		})
		if device != nil {
			defer device.Gone()
		}
		switch {
		case !inTime:
			return
		case err != nil:
			x.fail(fmt.Errorf("connect the device: %w", err))
			return
		}
		s.cfg.Apps.Devices(principal.AppID(), 1)
		defer s.cfg.Apps.Devices(principal.AppID(), -1)
		ctx = auth.WithDevice(auth.With(ctx, principal), device)
	}
	principal := auth.From(ctx)
	if err := principal.LoadApp(ctx); err != nil {
		x.fail(err)
		return
	}
	defer s.expiries.remove(s.expiries.add(st, principal.ExpiresAt()))
	s.appLinks.add(st, principal, "sse", st.peer)
	defer s.appLinks.remove(st)
	st.mu.Lock()
	st.principal = principal
	st.mu.Unlock()
	s.checkToken(principal, st)
	sub, refusal := s.subscribe(ctx, opCtx, st, nil)
	if refusal != nil {
		x.streamOnce(refusal)
		return
	}
	defer sub.stop()
	sub.run()
	x.beginStream()
	if err := st.write(x.w); err != nil {
		// Only a link that breaks tells the client that the subscription has not ended.
		panic(http.ErrAbortHandler)
	}
}

// beginStream sends the header of an event stream.
func (x *exchange) beginStream() {
	x.transport = "sse"
	h := x.w.Header()
	h.Set("Content-Type", mediaStream+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Add("Vary", "Accept")
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
}

// write writes what is queued until the stream has ended. It fails if the link breaks or must be
// dropped.
func (st *sseStream) write(w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift the read deadline: %w", err)
	}
	limits := &st.server.cfg.Limits
	// Writing the comment sends the header, from which the client knows that events flow.
	chunk := []byte(sseComment)
	for {
		var ended bool
		var err error
		if chunk, ended, err = st.take(chunk); err != nil {
			return err
		}
		if ended {
			st.mu.Lock()
			last := st.last
			st.mu.Unlock()
			if last != nil {
				chunk = append(chunk, last()...)
			} else {
				err = errGoingAway
			}
		}
		if len(chunk) > 0 {
			if err := control.SetWriteDeadline(time.Now().Add(limits.WriteTimeout)); err != nil {
				return fmt.Errorf("set the write deadline: %w", err)
			}
			if _, err := w.Write(chunk); err != nil {
				return fmt.Errorf("write to the stream: %w", err)
			}
			if err := control.Flush(); err != nil {
				return fmt.Errorf("write to the stream: %w", err)
			}
			chunk = chunk[:0]
			if !ended {
				continue // more may be queued than was taken
			}
		}
		if ended {
			return err
		}
		// HTTP/2 resets a stream at its write deadline, even if nothing is being written.
		if err := control.SetWriteDeadline(time.Time{}); err != nil {
			return fmt.Errorf("lift the write deadline: %w", err)
		}
		select {
		case <-st.wake:
		case <-st.ctx.Done():
			return context.Cause(st.ctx)
		}
	}
}

// take moves what is queued into chunk, up to gatherSize, and reports whether that was the end of
// the stream.
func (st *sseStream) take(chunk []byte) (_ []byte, ended bool, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.broken {
		return nil, false, errTooSlow
	}
	if st.commentDue {
		st.commentDue = false
		chunk = append(chunk, sseComment...)
	}
	for st.corked == 0 && !st.queue.empty() && len(chunk) < gatherSize {
		chunk = appendSSE(chunk, st.queue.pop())
	}
	return chunk, st.ending && st.queue.empty(), nil
}

// appendSSE appends m in the form of an event stream.
func appendSSE(dst []byte, m message) []byte {
	if m.sub == nil {
		return append(dst, m.payload...)
	}
	dst = append(dst, sseNextHead...)
	dst = append(dst, m.payload...)
	return append(dst, sseTail...)
}

func (st *sseStream) cork() {
	st.mu.Lock()
	st.corked++
	st.mu.Unlock()
}

func (st *sseStream) uncork() {
	st.mu.Lock()
	st.corked--
	st.mu.Unlock()
	st.signal()
}

// comment sends a comment.
func (st *sseStream) comment() {
	st.mu.Lock()
	st.commentDue = true
	st.mu.Unlock()
	st.signal()
}

func (st *sseStream) signal() {
	select {
	case st.wake <- struct{}{}:
	default: // a signal is already pending
	}
}

// newFence returns nil: the stream carries no other operation.
func (st *sseStream) newFence() *fence { return nil }

func (st *sseStream) next(sub *subscription, key int64, payload []byte, _ *fence) {
	st.mu.Lock()
	m := textEvent(sub, key, payload)
	switch {
	case st.ending:
	case st.queue.replaces(m) || st.queue.fits(len(payload), st.server.pacing.bounds):
		st.queue.push(m)
	default:
		st.broken = true
	}
	st.mu.Unlock()
	st.signal()
}

// hold is next: the stream's own goroutine writes everything that waits in one go.
func (st *sseStream) hold(sub *subscription, key int64, payload []byte) {
	st.next(sub, key, payload, nil)
}

func (st *sseStream) release() {}

func (st *sseStream) end(_ *subscription, err error) {
	if outage.CodeOf(err) == fault.Unavailable {
		st.server.outages.Warn(st.ctx, "an event stream breaks off; the client should reconnect",
			"requestId", requestid.From(st.ctx), "error", err)
		st.finish(nil)
		return
	}
	st.finish(func() []byte {
		if err != nil {
			return st.failure(err)
		}
		return []byte(sseComplete)
	})
}

// Client returns the client, which is not heard after its request.
func (st *sseStream) Client() status.Client {
	return status.Client{Address: st.peer.address, UserAgent: st.peer.userAgent.Value()}
}

// Cut ends the stream because its device may no longer be connected.
func (st *sseStream) Cut(cause status.Cause) { st.endLink(endingOf(cause)) }

// failure returns the end of a stream whose last response is err.
func (st *sseStream) failure(err error) []byte {
	body := encodeResponse(&graphql.Response{Errors: gqlerror.List{st.server.cfg.Present(st.ctx, err)}})
	return slices.Concat([]byte(sseNextHead), body, []byte(sseTail+sseComplete))
}

// finish ends the stream after what is queued; see the field last.
func (st *sseStream) finish(last func() []byte) {
	st.mu.Lock()
	if !st.ending {
		st.ending, st.last = true, last
	}
	st.mu.Unlock()
	st.signal()
}

// goAway breaks the link after what is queued, because the server is shutting down.
func (st *sseStream) goAway() { st.finish(nil) }

// breakOff drops the link immediately.
func (st *sseStream) breakOff() {
	st.mu.Lock()
	st.broken = true
	st.mu.Unlock()
	st.signal()
}
