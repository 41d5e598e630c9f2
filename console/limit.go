package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"rollcall/internal/database"
	"rollcall/models"
)

const (
	// PageTime is how long a request may take until the response begins. It leaves time to respond
	// within 3 s. The context of a page ends after it, and forms are given up if they have changed
	// nothing yet.
	PageTime = 2500 * time.Millisecond
	// lastTime is how much later a request is given up that does not return when its context ends.
	lastTime = 200 * time.Millisecond
	// presenceTime is how long a page waits for Redis, for each question.
	presenceTime = 700 * time.Millisecond
	// clientsTime is how long a page waits for other nodes to name the clients of their devices.
	clientsTime = 500 * time.Millisecond
	// handlingTime limits a form that goes on although its browser has its response or has gone.
	handlingTime = 30 * time.Second
)

// limit is the time of one request. The handler runs in a goroutine of its own and writes the response
// through it. When the time is over and the response has not begun, the request is responded to
// without the handler, whose response is then dropped. A response that has begun may take any time.
type limit struct {
	w http.ResponseWriter
	// commits follows what a form changes.
	commits database.Commits
	// timer ends the time.
	timer *time.Timer
	time  time.Duration
	// cancel ends the handler's context.
	cancel context.CancelFunc

	mu          sync.Mutex
	head        http.Header
	begun, over bool
	operator    *models.Operator
}

// errOver is returned to a handler that responds after its time.
var errOver = errors.New("the request was responded to without its handler")

// handlerPanic is a panic in a handler, with its stack.
type handlerPanic struct {
	cause any
	stack []byte
}

// within calls serve, and responds with the status 503 if that takes too long.
func (c *console) within(w http.ResponseWriter, r *http.Request, serve func(r *http.Request, l *limit)) {
	l := &limit{w: w, head: w.Header().Clone(), timer: time.NewTimer(c.PageTime), time: c.PageTime}
	ctx := r.Context()
	if isForm(r) {
		// A form that has begun to change something ends even if the browser does not wait.
		ctx = context.WithoutCancel(ctx)
	} else {
		l.timer.Reset(c.PageTime + lastTime)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.PageTime)
		defer cancel()
	}
	ctx, l.cancel = context.WithCancel(ctx)
	handling := r.WithContext(ctx)
	handling.Body = &timedBody{handling.Body, l}
	done := make(chan *handlerPanic, 1)
	go func() {
		defer l.cancel()
		defer time.AfterFunc(handlingTime, l.expire).Stop()
		done <- c.recovering(l, handling, func() { serve(handling, l) })
	}()
	var panicked *handlerPanic
	select {
	case panicked = <-done:
	case <-l.timer.C:
		if l.end() {
			c.late(w, r, l)
			return
		}
		panicked = <-done // the response has begun
	}
	switch {
	case panicked == nil:
	case panicked.cause == http.ErrAbortHandler:
		panic(http.ErrAbortHandler)
	default:
		panic(panicked)
	}
}

// recovering calls serve and returns its panic, or nil if there was none. It logs a panic after the
// time, which no other will.
func (c *console) recovering(l *limit, r *http.Request, serve func()) (p *handlerPanic) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		p = &handlerPanic{cause, debug.Stack()}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.over && cause != http.ErrAbortHandler {
			c.logPanic(r, p)
		}
	}()
	serve()
	return nil
}

// late responds to a request without its handler.
func (c *console) late(w http.ResponseWriter, r *http.Request, l *limit) {
	v := c.visit(w, r)
	l.mu.Lock()
	v.operator = l.operator
	l.mu.Unlock()
	p := problem{http.StatusServiceUnavailable, "error.unavailable"}
	if isForm(r) {
		p = l.problem()
	}
	c.outages.Warn(r.Context(), "console request took too long", "requestId", requestID(r), "route", r.Pattern, "outcome", p.text)
	c.fail(v, p)
}

// problem returns the problem of a form that could not be responded to, and ends its handling if it has
// changed nothing.
func (l *limit) problem() problem {
	switch l.commits.GiveUp() {
	case database.Unknown:
		return problem{http.StatusGatewayTimeout, "error.late.unknown"}
	case database.Committed:
		return problem{http.StatusGatewayTimeout, "error.late.committed"}
	}
	l.cancel()
	return problem{http.StatusServiceUnavailable, "error.late.nothing"}
}

// isForm reports whether a request may change something.
func isForm(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// end ends the time and reports whether the response has not begun.
func (l *limit) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = !l.begun
	return l.over
}

// wait lets the request take that time from now on, because it waits for another server.
func (l *limit) wait(d time.Duration) { l.timer.Reset(d) }

// expire ends the handler's context, unless it is sending its response.
func (l *limit) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.cancel()
	}
}

// identified notes who the visitor is, for the response after the time.
func (l *limit) identified(operator *models.Operator) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operator = operator
}

// begin begins the response, or returns errOver if it is too late. The caller holds l.mu.
func (l *limit) begin() error {
	if l.over {
		return errOver
	}
	if !l.begun {
		l.begun = true
		head := l.w.Header()
		clear(head)
		for name, values := range l.head {
			head[name] = values
		}
	}
	return nil
}

// Header returns the header of the handler's response.
func (l *limit) Header() http.Header { return l.head }

// WriteHeader begins the response.
func (l *limit) WriteHeader(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begin() == nil {
		l.w.WriteHeader(status)
	}
}

// Write sends a part of the response.
func (l *limit) Write(p []byte) (int, error) {
	l.mu.Lock()
	if err := l.begin(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	l.mu.Unlock()
	return l.w.Write(p)
}

// SetWriteDeadline is for http.ResponseController.
func (l *limit) SetWriteDeadline(at time.Time) error {
	return l.control(func(c *http.ResponseController) error { return c.SetWriteDeadline(at) })
}

// FlushError is for http.ResponseController.
func (l *limit) FlushError() error { return l.control((*http.ResponseController).Flush) }

// control begins the response, after which the connection belongs to the handler.
func (l *limit) control(do func(*http.ResponseController) error) error {
	l.mu.Lock()
	if err := l.begin(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.mu.Unlock()
	return do(http.NewResponseController(l.w))
}

// timedBody is the body of a request. The time of a form begins when the browser has sent it.
type timedBody struct {
	io.ReadCloser
	limit *limit
}

// Read reads a part of the body.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.limit.timer.Reset(b.limit.time)
	}
	return n, err
}

// String describes the panic for the log.
func (p *handlerPanic) String() string { return fmt.Sprint(p.cause) }
