package transport

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// gatherSize is how much of the queue is written at a time: little enough that a slow reader's
// events can still be replaced, and enough for few system calls.
const gatherSize = 64 << 10

// writeBuffers are used for single writes.
var writeBuffers = sync.Pool{New: func() any { return new([]byte) }}

func giveBackWriteBuffer(buf *[]byte) {
	if cap(*buf) <= gatherSize*2 {
		*buf = (*buf)[:0]
		writeBuffers.Put(buf)
	}
}

// heldMost is the maximum number of held events.
const heldMost = 32

// heldLists are used by the senders that hold events.
var heldLists = sync.Pool{New: func() any { return new([]message) }}

// pacing limits how much and how long a sender waits for its reader.
type pacing struct {
	bounds
	writeTimeout time.Duration // for gatherSize bytes
	closeTimeout time.Duration // from the decision to close to the end of the link
	fenceTimeout time.Duration // how long events wait for a response that holds statuses
}

// errTooSlow means that the queue is full.
var errTooSlow = errors.New("the client reads too slowly")

// sender sends messages over a socket without making its caller wait for the reader. It writes a
// message immediately if the kernel accepts it. Otherwise a goroutine writes for as long as
// anything is left, and messages that arrive in the meantime wait in the queue.
type sender struct {
	sock   *socket
	pacing *pacing

	mu    sync.Mutex
	queue queue
	// held are events that wait for release, in order and before the whole queue; nil if there are
	// none. It changes only under the mutex, and is nil while the goroutine drains.
	held atomic.Pointer[[]message]
	// fences are raised by operations that read statuses; nil if there are none.
	fences *fences
	// corked counts the callers that want the following messages gathered into one write.
	corked int
	// draining is set while the goroutine is at work and owns the socket's writing side.
	draining bool
	// closed is set once a close frame is queued or sent, or the link broke; nothing more is
	// accepted.
	closed  bool
	how     *closing
	closeBy int64 // in nanoseconds since 1970
	// err is the error with which writing failed.
	err error
	// room is closed when the queue has shrunk; nil if no caller waits for that.
	room chan struct{}
}

// push sends m. If too much is queued already, it returns errTooSlow and drops m.
func (s *sender) push(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.fences != nil && m.sub != nil && s.deferEvent(m) {
		return nil
	}
	return s.addIfFits(m)
}

// pushEnd is push for the end of a subscription, which is sent after the subscription's events.
func (s *sender) pushEnd(sub *subscription, m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.fences != nil && s.deferEnd(sub, m) {
		return nil
	}
	return s.addIfFits(m)
}

// pushRead is push for an event that holds statuses which were read behind the fence f. It lowers f
// once the event has been sent.
func (s *sender) pushRead(f *fence, m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ready()
	if s.closed || s.fences != nil && s.deferRead(f, m) {
		return nil
	}
	defer s.lower(f)
	return s.addIfFits(m)
}

// addIfFits is add, but returns errTooSlow if too much is queued already.
func (s *sender) addIfFits(m message) error {
	if !s.queue.replaces(m) && !s.queue.fits(len(m.payload), s.pacing.bounds) {
		return errTooSlow
	}
	s.add(m)
	return nil
}

// hold is push for an event that may wait for release: several in one write are far cheaper. A held
// event is not replaced by a newer one, since its reader is not slow.
func (s *sender) hold(m message) error {
	s.mu.Lock()
	if s.closed || s.draining || s.corked > 0 || s.fences != nil || !s.queue.empty() {
		s.mu.Unlock()
		return s.push(m)
	}
	defer s.mu.Unlock()
	if s.keepHeld(m) >= heldMost {
		s.flush()
	}
	return nil
}

// keepHeld adds m to the held events and returns how many there are.
func (s *sender) keepHeld(m message) int {
	held := s.held.Load()
	if held == nil {
		held = heldLists.Get().(*[]message)
		s.held.Store(held)
	}
	*held = append(*held, m)
	return len(*held)
}

// release sends the held events.
func (s *sender) release() {
	if s.held.Load() == nil {
		return // another goroutine has taken and sends them
	}
	s.mu.Lock()
	s.flush()
	s.mu.Unlock()
}

// takeHeld appends the held events to buf in wire format.
func (s *sender) takeHeld(buf *[]byte) {
	held := s.held.Swap(nil)
	if held == nil {
		return
	}
	for _, m := range *held {
		*buf = appendMessage(*buf, m)
	}
	giveBackHeld(held)
}

// dropHeld discards the held events.
func (s *sender) dropHeld() {
	if held := s.held.Swap(nil); held != nil {
		giveBackHeld(held)
	}
}

func giveBackHeld(held *[]message) {
	if cap(*held) > 2*heldMost {
		return // many events can have waited for a fence
	}
	clear(*held)
	*held = (*held)[:0]
	heldLists.Put(held)
}

// pushWait sends ms, a response, together, and then lowers the response's fence f; f is nil if the
// response has none. If too much is queued already, pushWait waits. Returns errOvertaken, and sends
// nothing, if events did not wait for the response.
func (s *sender) pushWait(f *fence, ms ...message) error {
	size := 0
	for _, m := range ms {
		size += len(m.payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != nil {
		f.ready()
		defer s.lower(f)
	}
	for !s.closed && !s.queue.fits(size, s.pacing.bounds) {
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		<-room
		s.mu.Lock()
	}
	switch {
	case s.closed:
		return nil
	case f != nil && f.overtaken:
		return errOvertaken
	}
	s.corked++
	for _, m := range ms {
		s.add(m)
	}
	s.corked--
	s.flush()
	return nil
}

// cork starts gathering pushed messages, until uncork.
func (s *sender) cork() {
	s.mu.Lock()
	s.corked++
	s.mu.Unlock()
}

// uncork sends the gathered messages.
func (s *sender) uncork() {
	s.mu.Lock()
	s.corked--
	s.flush()
	s.mu.Unlock()
}

// close sends the close frame of how, after the messages that were pushed before, or instead of
// them if drop is set. It gives up the writing side within the pacing's closeTimeout. It reports
// false if the sender was already closed.
func (s *sender) close(how closing, drop bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if drop {
		s.queue = queue{}
		s.dropHeld()
		s.dropFences()
	} else if s.lowerAll(); s.closed {
		return false // the link broke on the events that waited
	}
	s.closed, s.how = true, &how
	s.closeBy = time.Now().Add(s.pacing.closeTimeout).UnixNano()
	s.makeRoom()
	if s.draining {
		_ = s.sock.SetWriteDeadline(time.Unix(0, s.closeBy)) // fails only on a broken link
	}
	s.queue.push(closeMessage(how))
	s.flush()
	return true
}

// isClosed reports whether the sender accepts no more messages.
func (s *sender) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// end returns how the sender was closed and until when it may still be at work, or zero values if
// it was not closed. broken reports whether writing is no longer possible.
func (s *sender) end() (how closing, by time.Time, broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.how != nil {
		how, by = *s.how, time.Unix(0, s.closeBy)
	}
	if s.err == errTooSlow {
		how = closeTooSlow
	}
	return how, by, s.err != nil
}

// add sends or queues m, which must fit.
func (s *sender) add(m message) {
	if s.draining || s.corked > 0 || !s.queue.empty() {
		s.queue.push(m)
		return
	}
	buf := writeBuffers.Get().(*[]byte)
	s.takeHeld(buf)
	*buf = appendMessage(*buf, m)
	s.write(buf)
}

// flush writes what is queued, unless another goroutine will.
func (s *sender) flush() {
	for !s.draining && s.corked == 0 && s.err == nil && !s.idle() {
		buf := writeBuffers.Get().(*[]byte)
		s.gather(buf)
		s.write(buf)
	}
	s.finish()
}

// idle reports whether there is nothing to write.
func (s *sender) idle() bool { return s.queue.empty() && s.held.Load() == nil }

// gather moves the held events, and then messages from the queue, into buf.
func (s *sender) gather(buf *[]byte) {
	*buf = (*buf)[:0]
	s.takeHeld(buf)
	for !s.queue.empty() && len(*buf) < gatherSize {
		*buf = appendMessage(*buf, s.queue.pop())
	}
	s.makeRoom()
}

func (s *sender) makeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// write writes as much of buf as the kernel accepts, and starts draining the rest.
func (s *sender) write(buf *[]byte) {
	n, err := s.sock.tryWrite(*buf)
	switch {
	case err != nil:
		s.fail(err)
	case n == len(*buf):
		giveBackWriteBuffer(buf)
	default:
		s.draining = true
		go s.drain(buf, n)
	}
}

// drain writes buf from the offset, and then the queued messages, until nothing is left.
func (s *sender) drain(buf *[]byte, offset int) {
	for {
		err := s.writeWaiting((*buf)[offset:])
		s.mu.Lock()
		switch {
		case err != nil:
			s.fail(err)
		case s.queue.empty():
			s.draining = false
			_ = s.sock.SetWriteDeadline(time.Time{}) // fails only on a broken link
			s.finish()
		default:
			s.gather(buf)
			s.mu.Unlock()
			offset = 0
			continue
		}
		s.mu.Unlock()
		giveBackWriteBuffer(buf)
		return
	}
}

// writeWaiting writes p, with a deadline for each part of it.
func (s *sender) writeWaiting(p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), gatherSize)]
		s.mu.Lock()
		by := time.Now().Add(s.pacing.writeTimeout)
		if s.closed && s.closeBy < by.UnixNano() {
			by = time.Unix(0, s.closeBy)
		}
		err := s.sock.SetWriteDeadline(by)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := s.sock.Write(part); err != nil {
			return err
		}
		p = p[len(part):]
	}
	return nil
}

// finish ends the writing side after the close frame.
func (s *sender) finish() {
	if s.closed && !s.draining && s.err == nil && s.idle() {
		s.sock.closeWrite()
	}
}

// fail drops the link, which wakes its reader. A reader that accepted nothing for the whole
// time-out counts as too slow.
func (s *sender) fail(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTooSlow
	}
	s.err = err
	s.closed = true
	s.draining = false
	s.queue = queue{}
	s.dropHeld()
	s.dropFences()
	s.makeRoom()
	s.sock.abort()
}
