package transport

import (
	"sync/atomic"
	"time"
)

const (
	// workerRest is how long a worker waits for its next message before it ends.
	workerRest = time.Second
	// restingWorkers is how many workers may wait, so that few remain after a burst.
	restingWorkers = 16
)

// workers handle the WebSockets' messages, each in a goroutine that then waits briefly for another
// one. An operation's call stack is deep, so the stack of a new goroutine is enlarged, and copied,
// several times; a worker's stack has already grown. There are few more workers than messages that
// are being handled, and none if no messages arrive.
type workers struct {
	// messages is unbuffered: a waiting worker takes what is sent.
	messages chan received
	resting  atomic.Int32
}

// received is a message that a connection has read.
type received struct {
	conn *conn
	text []byte
	// handled is closed when the connection may read the next message.
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

// work handles m, and further messages that each arrive within workerRest.
func (w *workers) work(m received) {
	rest := time.NewTimer(workerRest)
	defer rest.Stop()
	for {
		m.conn.handle(m.text, m.handled)
		m = received{} // release what m refers to
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
