package testenv

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy is a link between clients and a server that a test can slow down, pause and cut.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	delay  time.Duration
	cut    bool
	// idle is how long a new connection may be idle; 0: any time.
	idle time.Duration
	// resumed is closed when what is on the way may continue. It is nil if the link is not paused.
	resumed chan struct{}
	conns   map[net.Conn]struct{}
}

// chunk is bytes that arrive at one time.
type chunk struct {
	bytes []byte
	at    time.Time
}

// chunksOnTheWay is the maximum number of chunks of a connection in one direction before its sender
// waits.
const chunksOnTheWay = 1024

// NewProxy returns a link to the server at the target, which is an address or the path of a
// socket; it ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: make(map[net.Conn]struct{})}
	go p.accept()
	tb.Cleanup(func() {
		l.Close()
		p.Cut()
		p.Resume()
		p.closeAll()
	})
	return p
}

// Address returns the address to which clients connect.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Delay makes everything that is sent from now on arrive that much later, in each direction.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// CloseIdle closes new connections on which neither side sends anything for that long, as proxies of
// web servers do.
func (p *Proxy) CloseIdle(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = d
}

// Pause stops everything on the way until Resume. Nothing is lost.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		p.resumed = make(chan struct{})
	}
}

// Resume ends Pause.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed = nil
	}
}

// Cut loses everything that is sent from now on, or is on the way. Connections stay open, as with a
// broken network, so that neither side notices.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

// Heal ends Cut for new connections and closes the old ones.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.closeAll()
}

// Retarget leads new connections to another server and closes the old ones.
func (p *Proxy) Retarget(target string) {
	p.Lead(target)
	p.closeAll()
}

// Lead leads new connections to another server. The old ones stay, as when a name is moved to
// another address.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		network := "tcp"
		if strings.HasPrefix(target, "/") {
			network = "unix"
		}
		server, err := net.Dial(network, target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		idle := p.idle
		p.mu.Unlock()
		used := func() {}
		if idle > 0 {
			timer := time.AfterFunc(idle, func() {
				client.Close()
				server.Close()
			})
			used = func() { timer.Reset(idle) }
		}
		p.pass(client, server, used)
		p.pass(server, client, used)
	}
}

// pass forwards what one side sends until either side closes. It calls used each time.
func (p *Proxy) pass(from, to net.Conn, used func()) {
	onTheWay := make(chan chunk, chunksOnTheWay)
	go func() {
		defer close(onTheWay)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			used()
			p.mu.Lock()
			at := time.Now().Add(p.delay)
			p.mu.Unlock()
			onTheWay <- chunk{buffer[:n], at}
		}
	}()
	go func() {
		defer func() {
			p.mu.Lock()
			delete(p.conns, from)
			delete(p.conns, to)
			p.mu.Unlock()
			from.Close()
			to.Close()
			for range onTheWay { // unblocks the reader
			}
		}()
		for c := range onTheWay {
			time.Sleep(time.Until(c.at))
			if p.lost() {
				continue
			}
			if _, err := to.Write(c.bytes); err != nil {
				return
			}
		}
	}()
}

// lost waits while the link is paused, and reports whether it is cut.
func (p *Proxy) lost() bool {
	for {
		p.mu.Lock()
		resumed, cut := p.resumed, p.cut
		p.mu.Unlock()
		if resumed == nil || cut {
			return cut
		}
		<-resumed
	}
}
