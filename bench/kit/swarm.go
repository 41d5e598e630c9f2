//go:build linux

package kit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// swarmDialers is how many WebSockets are opened concurrently.
	swarmDialers = 16
	// perSource is the number of connections from one loopback address. It is well below the number
	// of ports, because the ports of recently closed connections are not free.
	perSource = 1000
	// spareFiles is how many files a swarm opens besides its WebSockets.
	spareFiles = 100
	// deliveryTimeout is how long a round waits if no subscriber at all receives a change.
	deliveryTimeout = 10 * time.Second
)

// Swarm has many WebSockets to one server and watches messages arrive at all of them. It is a
// process of its own (see Agent), because of the limit on open files and so that its CPU time is
// not counted as that of another program.
type Swarm struct {
	poller  *poller
	actors  []*device
	devices []*device
	buf     []byte
	last    int // the size of the last message, in bytes
	change  change
}

// Crowd describes the WebSockets to open.
type Crowd struct {
	Address string
	Path    string
	// Tokens are the user tokens, one for each WebSocket.
	Tokens []string
	// Subscribe is the subscription of each of them. If it is "", GraphQL is not used, and the
	// server sends the first message.
	Subscribe string
	// Snapshot is true if the subscription begins with an event, or with one for each actor.
	Snapshot bool
	// Actors are the tokens of users that all devices watch and that change their status in a
	// burst; see Round. They connect first.
	Actors []string
}

// Open opens a crowd. It returns once all of it is connected and acknowledged and has received its
// snapshot.
func (s *Swarm) Open(crowd *Crowd, _ *None) error {
	var err error
	if err := enoughFiles(len(crowd.Actors) + len(crowd.Tokens)); err != nil {
		return err
	}
	if s.poller, err = newPoller(); err != nil {
		return err
	}
	s.buf = make([]byte, 64<<10)
	for _, token := range crowd.Actors {
		actor, err := login(crowd.Address, crowd.Path, token, netip.Addr{}, s.buf)
		if err != nil {
			return fmt.Errorf("connecting the actors: %w", err)
		}
		s.actors = append(s.actors, actor)
	}
	s.devices = make([]*device, len(crowd.Tokens))
	failures := make(chan error, swarmDialers)
	var next atomic.Int64
	var dialers sync.WaitGroup
	for range swarmDialers {
		dialers.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(crowd.Tokens) {
					return
				}
				d, err := crowd.open(i, buf)
				if err != nil {
					failures <- fmt.Errorf("WebSocket %d of %d: %w", i+1, len(crowd.Tokens), err)
					return
				}
				s.devices[i] = d
			}
		})
	}
	dialers.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return err
	}
	for i, d := range s.devices {
		if err := errors.Join(unix.SetNonblock(d.fd, true), s.poller.add(d.fd, i)); err != nil {
			return err
		}
	}
	return nil
}

// enoughFiles returns an error if one process cannot open that many WebSockets. Each process has a
// limit of its own, the server too.
func enoughFiles(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if need := uint64(n + spareFiles); limit.Cur < need {
		return fmt.Errorf("a process may open %d files and needs %d; raise it with ulimit -n", limit.Cur, need)
	}
	return nil
}

// Storm is like Open and returns how long it took.
func (s *Swarm) Storm(crowd *Crowd, took *time.Duration) error {
	began := time.Now()
	err := s.Open(crowd, &None{})
	*took = time.Since(began)
	return err
}

// HangUp closes all WebSockets without a closing handshake. The swarm can then open another crowd.
func (s *Swarm) HangUp(*None, *None) error {
	for _, d := range append(s.actors, s.devices...) {
		_ = unix.Close(d.fd)
	}
	s.poller.close()
	*s = Swarm{}
	return nil
}

// open opens the WebSocket number i.
func (c *Crowd) open(i int, buf []byte) (*device, error) {
	source := netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i/perSource)})
	if c.Subscribe == "" {
		d, err := upgrade(c.Address, c.Path, source, buf)
		if err != nil {
			return nil, err
		}
		_, err = d.await(buf)
		return d, err
	}
	d, err := login(c.Address, c.Path, c.Tokens[i], source, buf)
	if err != nil {
		return nil, err
	}
	if err := d.subscribe(c.Subscribe); err != nil {
		return nil, err
	}
	if c.Snapshot {
		if message, err := d.awaitAll(buf, max(1, len(c.Actors))); err != nil || !bytes.Contains(message, []byte(`"next"`)) {
			return nil, fmt.Errorf("subscribing: %q, %w", message, err)
		}
	}
	return d, nil
}

// login opens a WebSocket as the device of a token's user.
func login(address, path, token string, source netip.Addr, buf []byte) (*device, error) {
	d, err := upgrade(address, path, source, buf)
	if err != nil {
		return nil, err
	}
	if err := d.init(token); err != nil {
		return nil, err
	}
	return d, d.acknowledged(buf)
}

// upgrade opens a WebSocket.
func upgrade(address, path string, source netip.Addr, buf []byte) (*device, error) {
	fd, err := dial(address, source)
	if err != nil {
		return nil, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
	if err := writeAll(fd, []byte(request)); err != nil {
		return nil, err
	}
	var answer, head, rest []byte
	for found := false; !found; head, rest, found = bytes.Cut(answer, headEnd) {
		n, err := read(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errLate
		}
		answer = append(answer, buf[:n]...)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return nil, fmt.Errorf("response to the upgrade: %q", answer)
	}
	return &device{fd: fd, rest: rest}, nil
}

// init sends connection_init.
func (d *device) init(token string) error {
	return writeAll(d.fd, appendFrame(nil, `{"type":"connection_init","payload":{"Authorization":"Bearer `+token+`","platform":"ANDROID"}}`))
}

// subscribe sends an operation of any kind.
func (d *device) subscribe(query string) error {
	text, err := json.Marshal(map[string]any{"id": "1", "type": "subscribe", "payload": map[string]string{"query": query}})
	if err != nil {
		return err
	}
	return writeAll(d.fd, appendFrame(nil, string(text)))
}

// acknowledged waits for connection_ack.
func (d *device) acknowledged(buf []byte) error {
	message, err := d.await(buf)
	if err == nil && !bytes.Contains(message, []byte(`"connection_ack"`)) {
		err = fmt.Errorf("response to connection_init: %q", message)
	}
	return err
}

// Round makes one status change after another. Each begins when all WebSockets have received the
// one before.
type Round struct {
	// For is the minimum length of a round. At least one change is made.
	For time.Duration
	// Device makes the changes by connecting and disconnecting this user at Address. If it is "",
	// they are made by a POST to /change.
	Device  string
	Address string
	// Burst makes each change consist of one of each of the crowd's actors, all at once. A floor,
	// which has no actors, sends as many broadcasts as Events.
	Burst bool
	// Events is how many messages a change sends to each WebSocket; 0 means 1.
	Events int
}

func (r *Round) events() int { return max(1, r.Events) }

// Deliveries has the measurements of a round.
type Deliveries struct {
	Changes, Count int
	// Elapsed is the sum of the times from each change's cause to its last delivery.
	Elapsed time.Duration
	// P50, P99 and Max are of the times from a change's cause to a delivery.
	P50, P99, Max time.Duration
	// MessageBytes is the length of the last message.
	MessageBytes int
}

// PerSecond returns the throughput.
func (d Deliveries) PerSecond() float64 { return float64(d.Count) / d.Elapsed.Seconds() }

// Play plays a round.
func (s *Swarm) Play(round *Round, out *Deliveries) error {
	if s.change == nil {
		var err error
		if s.change, err = round.newChange(s.actors); err != nil {
			return err
		}
	}
	var latencies []time.Duration
	for began := time.Now(); out.Changes == 0 || time.Since(began) < round.For; out.Changes++ {
		if err := s.change.prepare(s.buf); err != nil {
			return err
		}
		cause := time.Now()
		if err := s.change.cause(); err != nil {
			return err
		}
		got, all := 0, len(s.devices)*round.events()
		for got < all {
			err := s.poller.wait(time.Now().Add(deliveryTimeout), func(tag int) error {
				d := s.devices[tag]
				n, err := read(d.fd, s.buf)
				if err != nil {
					return err
				}
				late := time.Since(cause)
				return d.take(s.buf[:n], func(text []byte) {
					got++
					latencies = append(latencies, late)
					s.last = len(text)
				})
			})
			if err != nil {
				return fmt.Errorf("%d of %d messages have arrived: %w", got, all, err)
			}
		}
		out.Elapsed += latencies[len(latencies)-1]
		if got > all {
			return fmt.Errorf("one change caused %d messages instead of %d", got, all)
		}
		if err := s.change.settle(s.buf); err != nil {
			return err
		}
	}
	out.Count = len(latencies)
	out.P50, out.P99 = percentiles(latencies)
	out.Max = slices.Max(latencies)
	out.MessageBytes = s.last
	return nil
}

// change makes one status change after another.
type change interface {
	// prepare does what a change needs but what is not measured.
	prepare(buf []byte) error
	// cause makes the change.
	cause() error
	// settle is called when all WebSockets have received the change.
	settle(buf []byte) error
}

func (r *Round) newChange(actors []*device) (change, error) {
	if r.Burst && len(actors) > 0 {
		return &burst{actors: actors}, nil
	}
	if r.Device != "" {
		return &comingAndGoing{address: r.Address, token: r.Device}, nil
	}
	fd, err := dial(r.Address, netip.Addr{})
	if err != nil {
		return nil, err
	}
	return &postedChange{fd: fd, request: fmt.Appendf(nil, "POST /change?times=%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", r.events(), r.Address)}, nil
}

// burst makes all actors set a new status.
type burst struct {
	actors []*device
	n      int
}

func (b *burst) prepare([]byte) error {
	b.n++
	return nil
}

func (b *burst) cause() error {
	query := fmt.Sprintf("mutation { setStatus(input: {customStatus: %q}) { status { presence } } }", fmt.Sprintf("status %09d", b.n))
	for _, actor := range b.actors {
		if err := actor.subscribe(query); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the responses, each with its `complete`.
func (b *burst) settle(buf []byte) error {
	for _, actor := range b.actors {
		if message, err := actor.awaitAll(buf, 2); err != nil || !bytes.Contains(message, []byte(`"complete"`)) {
			return fmt.Errorf("setStatus: %q, %w", message, err)
		}
	}
	return nil
}

// comingAndGoing is a user's only device. It repeatedly logs in and loses its connection: ONLINE,
// OFFLINE, ONLINE …
type comingAndGoing struct {
	address, token string
	device         *device // nil while the user is not connected
	leaving        bool
}

func (c *comingAndGoing) prepare(buf []byte) error {
	c.leaving = c.device != nil
	if c.leaving {
		return nil
	}
	var err error
	c.device, err = upgrade(c.address, "/graphql", netip.Addr{}, buf)
	return err
}

func (c *comingAndGoing) cause() error {
	if c.leaving {
		return unix.Close(c.device.fd)
	}
	return c.device.init(c.token)
}

func (c *comingAndGoing) settle(buf []byte) error {
	if c.leaving {
		c.device = nil
		return nil
	}
	return c.device.acknowledged(buf)
}

// postedChange requests a broadcast from the floor.
type postedChange struct {
	fd      int
	request []byte
}

func (*postedChange) prepare([]byte) error { return nil }

func (c *postedChange) cause() error { return writeAll(c.fd, c.request) }

func (c *postedChange) settle(buf []byte) error {
	_, err := read(c.fd, buf)
	return err
}
