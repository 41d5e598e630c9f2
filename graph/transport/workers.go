package transport

import (
	"sync/atomic"
	"time"
)

const (
	// workerRest is how long a worker waits for its next message before it ends.
	workerRest = time.Second
	// restingWorkers is how many wait at most: a burst leaves no crowd behind.
	restingWorkers = 16
)

// workers handle the WebSockets' messages, each in a goroutine that then waits a
// little for another one. An operation goes deep, and a new goroutine's stack is
// made larger several times over on the way, each time by copying it. A worker has
// done that before; there are little more than messages are being handled at once, and
// none where all is silent.
type workers struct {
	// messages has no room: what is sent is taken by a worker that waits.
	messages chan received
	resting  atomic.Int32
}

// received is a message that a connection has read.
type received struct {
	conn *conn
	text []byte
	// handled is closed when the connection may read the next one.
	handled chan<- struct{}
}

func newWorkers() *workers { return &workers{messages: make(chan received)} }

// handle has a worker handle m, and does not wait for it.
func (w *workers) handle(m received) {
	select {
	case w.messages <- m:
	default:
		go w.work(m)
	}
}

// work handles m, and what comes within workerRest after.
func (w *workers) work(m received) {
	rest := time.NewTimer(workerRest)
	defer rest.Stop()
	for {
		m.conn.handle(m.text, m.handled)
		m = received{} // nothing is held on to
		if w.resting.Add(1) > restingWorkers {
			w.resting.Add(-1)
			return
		}
		rest.Reset(workerRest)
		select {
		case m = <-w.messages:
			w.resting.Add(-1)
		case <-rest.C:
			w.resting.Add(-1)
			return
		}
	}
}
