package transport

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/internal/presence"
	"rollcall/models"
)

// The messages of graphql-sse. Its clients want data with every event, also where
// there is none.
const (
	sseNextHead = "event: next\ndata: "
	sseTail     = "\n\n"
	sseComplete = "event: complete\ndata:\n\n"
	sseComment  = ":\n\n"
)

// sseStream is one subscription in distinct connections mode. The goroutine of
// its request writes; everyone else only adds to its queue.
type sseStream struct {
	server *Server
	// ctx is the request's.
	ctx context.Context

	mu     sync.Mutex
	queue  queue
	corked int
	// ending: nothing is taken any more, what is queued is the rest.
	ending bool
	// broken: the link is to be dropped without an end.
	broken bool
	// wake has room for one signal that there is something to do.
	wake chan struct{}
}

var (
	_ outlet        = (*sseStream)(nil)
	_ presence.Link = (*sseStream)(nil)
)

// streamOnce answers a single response as a stream.
func (x *exchange) streamOnce(resp *graphql.Response) {
	x.beginStream()
	body := slices.Concat([]byte(sseNextHead), encodeResponse(resp), []byte(sseTail+sseComplete))
	if _, err := x.w.Write(body); err != nil {
		x.status = statusClientGone
	}
}

// stream starts a subscription and writes its events until either side ends it.
// A user's stream is a device. Until the subscription has started, what goes
// wrong is answered as plain HTTP has it.
func (x *exchange) stream(opCtx *graphql.OperationContext) {
	x.transport = "sse"
	s, ctx := x.server, x.ctx
	st := &sseStream{server: s, ctx: ctx, wake: make(chan struct{}, 1)}
	if !enter(s, s.streams, st) {
		x.refuse(bad(http.StatusServiceUnavailable, "the server is going away"))
		return
	}
	defer leave(s, s.streams, st)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()

	if principal := auth.From(ctx); principal.Kind == auth.User {
		platform := models.PlatformOf(x.r.Header.Get(headerPlatform))
		device, err := s.cfg.Presence.Connect(ctx, principal.Account(), platform, st, func(ctx context.Context) (err error) {
			principal, err = s.confirmed(ctx, x.r.Header.Get("Authorization"))
			return err
		})
		if err != nil {
			x.fail(fmt.Errorf("connect the device: %w", err))
			return
		}
		defer device.Gone()
		ctx = auth.WithDevice(auth.With(ctx, principal), device)
	}
	sub, refusal := s.subscribe(ctx, opCtx, st, nil)
	if refusal != nil {
		x.streamOnce(refusal)
		return
	}
	defer sub.stop()
	sub.run()
	x.beginStream()
	if err := st.write(x.w); err != nil {
		// Only a link that breaks tells the client that this is not the end.
		panic(http.ErrAbortHandler)
	}
}

// beginStream sends the head of an event stream.
func (x *exchange) beginStream() {
	x.transport = "sse"
	h := x.w.Header()
	h.Set("Content-Type", mediaStream+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept")
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
}

// write writes what is queued, and comments while nothing is, until the stream
// has ended. It fails when the link breaks or is to be dropped.
func (st *sseStream) write(w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift the read deadline: %w", err)
	}
	limits := &st.server.cfg.Limits
	keepAlive := time.NewTicker(limits.KeepAlive)
	defer keepAlive.Stop()
	// The comment has the head sent, by which the client knows that events flow.
	chunk := []byte(sseComment)
	for {
		var ended bool
		var err error
		if chunk, ended, err = st.take(chunk); err != nil {
			return err
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
				continue // more may wait than was taken
			}
		}
		if ended {
			return nil
		}
		select {
		case <-st.wake:
		case <-keepAlive.C:
			chunk = append(chunk, sseComment...)
		case <-st.ctx.Done():
			return context.Cause(st.ctx)
		}
	}
}

// take moves what is queued into chunk, up to gatherSize, and says whether that
// was the end of the stream.
func (st *sseStream) take(chunk []byte) (_ []byte, ended bool, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.broken {
		return nil, false, errTooSlow
	}
	for st.corked == 0 && !st.queue.empty() && len(chunk) < gatherSize {
		chunk = appendSSE(chunk, st.queue.pop())
	}
	return chunk, st.ending && st.queue.empty(), nil
}

// appendSSE appends m as it stands in an event stream.
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

func (st *sseStream) signal() {
	select {
	case st.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

func (st *sseStream) next(sub *subscription, key int64, payload []byte) {
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

// hold is next: the stream's own goroutine writes all that waits.
func (st *sseStream) hold(sub *subscription, key int64, payload []byte) { st.next(sub, key, payload) }

func (st *sseStream) release() {}

func (st *sseStream) end(_ *subscription, err error) {
	if err != nil {
		st.endWith(err)
	} else {
		st.complete()
	}
}

// Cut ends the stream because its device may no longer be connected. There are no
// close codes, so an error says why.
func (st *sseStream) Cut(reason presence.Reason) { st.endWith(faultOf(reason)) }

// endWith completes the stream after a response with err.
func (st *sseStream) endWith(err error) {
	body := encodeResponse(&graphql.Response{Errors: gqlerror.List{st.server.cfg.Present(st.ctx, err)}})
	st.finish(slices.Concat([]byte(sseNextHead), body, []byte(sseTail+sseComplete)))
}

// complete completes the stream after what is queued.
func (st *sseStream) complete() { st.finish([]byte(sseComplete)) }

func (st *sseStream) finish(last []byte) {
	st.mu.Lock()
	if !st.ending {
		st.ending = true
		st.queue.push(textMessage(last))
	}
	st.mu.Unlock()
	st.signal()
}

// breakOff drops the link without an end.
func (st *sseStream) breakOff() {
	st.mu.Lock()
	st.broken = true
	st.mu.Unlock()
	st.signal()
}
