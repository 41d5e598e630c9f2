//go:build linux

package kit

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout is how long the load waits if no response arrives at all.
const answerTimeout = 10 * time.Second

// HTTPLoad has HTTP/1.1 connections to one server. Each sends a request, waits for the response and
// sends the next. One goroutine serves them all.
type HTTPLoad struct {
	poller  *poller
	conns   []*httpConn
	request func(dst []byte) (request, want []byte)
	buf     []byte
}

// httpConn is one connection of a load.
type httpConn struct {
	fd      int
	request []byte
	want    []byte // what the response must contain
	sent    time.Time
	answer  []byte // as received so far
}

// DialHTTP opens n connections to HOST:PORT. request appends a complete request to dst, and returns
// what the body of a right response contains.
func DialHTTP(address string, n int, request func(dst []byte) (req, want []byte)) (*HTTPLoad, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &HTTPLoad{poller: p, request: request, buf: make([]byte, 64<<10)}
	for i := range n {
		fd, err := dial(address, netip.Addr{})
		if err != nil {
			l.Close()
			return nil, err
		}
		l.conns = append(l.conns, &httpConn{fd: fd})
		if err := errors.Join(unix.SetNonblock(fd, true), p.add(fd, i)); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// Close closes the connections.
func (l *HTTPLoad) Close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	l.poller.close()
}

// HTTPSample has the measurements of a load.
type HTTPSample struct {
	Requests int
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// PerSecond returns the throughput.
func (s HTTPSample) PerSecond() float64 { return float64(s.Requests) / s.Elapsed.Seconds() }

// Run loads the server for d, and until the last response. A wrong response is an error.
func (l *HTTPLoad) Run(d time.Duration) (HTTPSample, error) {
	began := time.Now()
	end := began.Add(d)
	for _, c := range l.conns {
		if err := l.ask(c); err != nil {
			return HTTPSample{}, err
		}
	}
	var latencies []time.Duration
	for waiting := len(l.conns); waiting > 0; {
		err := l.poller.wait(time.Now().Add(answerTimeout), func(tag int) error {
			c := l.conns[tag]
			done, err := l.take(c)
			if err != nil || !done {
				return err
			}
			now := time.Now()
			latencies = append(latencies, now.Sub(c.sent))
			if now.Before(end) {
				return l.ask(c)
			}
			waiting--
			return nil
		})
		if err != nil {
			return HTTPSample{}, err
		}
	}
	s := HTTPSample{Requests: len(latencies), Elapsed: time.Since(began)}
	s.P50, s.P99 = percentiles(latencies)
	return s, nil
}

// RunAt sends that many requests a second for d, and waits for the last response. The time of a
// request begins when it is sent or, if all connections were waiting for responses, when it should
// have been sent. A wrong response is an error.
func (l *HTTPLoad) RunAt(rate int, d time.Duration) (HTTPSample, error) {
	began := time.Now()
	interval := time.Second / time.Duration(rate)
	next, end := began, began.Add(d)
	idle := slices.Clone(l.conns)
	var latencies []time.Duration
	behind := false // next had to wait for a connection
	for next.Before(end) || len(idle) < len(l.conns) {
		for now := time.Now(); next.Before(end) && !next.After(now) && len(idle) > 0; next = next.Add(interval) {
			c := idle[0] // the one that has been idle longest: the server closes unused ones
			idle = idle[1:]
			if err := l.ask(c); err != nil {
				return HTTPSample{}, err
			}
			if behind {
				c.sent = next
			}
		}
		deadline := time.Now().Add(answerTimeout)
		sending := next.Before(end) && len(idle) > 0
		if sending {
			deadline, behind = next, false
		}
		err := l.poller.wait(deadline, func(tag int) error {
			c := l.conns[tag]
			done, err := l.take(c)
			if err != nil || !done {
				return err
			}
			now := time.Now()
			latencies = append(latencies, now.Sub(c.sent))
			behind = behind || len(idle) == 0 && next.Before(now)
			idle = append(idle, c)
			return nil
		})
		if err != nil && !(sending && errors.Is(err, errLate)) {
			return HTTPSample{}, err
		}
	}
	s := HTTPSample{Requests: len(latencies), Elapsed: time.Since(began)}
	s.P50, s.P99 = percentiles(latencies)
	return s, nil
}

func (l *HTTPLoad) ask(c *httpConn) error {
	c.request, c.want = l.request(c.request[:0])
	c.answer = c.answer[:0]
	c.sent = time.Now()
	return writeAll(c.fd, c.request)
}

// take reads a part of a response and reports whether the response is complete.
func (l *HTTPLoad) take(c *httpConn) (whole bool, err error) {
	n, err := read(c.fd, l.buf)
	if err != nil {
		return false, err
	}
	answer := l.buf[:n]
	if len(c.answer) > 0 {
		c.answer = append(c.answer, answer...)
		answer = c.answer
	}
	body, whole, err := httpBody(answer)
	switch {
	case err != nil:
		return false, err
	case !whole:
		if len(c.answer) == 0 {
			c.answer = append(c.answer, answer...)
		}
		return false, nil
	case !bytes.Contains(body, c.want):
		return false, fmt.Errorf("the response %q does not contain %q", body, c.want)
	}
	return true, nil
}

var (
	headEnd       = []byte("\r\n\r\n")
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("\r\nContent-Length: ")
	chunked       = []byte("\r\nTransfer-Encoding: chunked")
)

// httpBody finds the body of a response, in the format that net/http writes.
func httpBody(answer []byte) (body []byte, whole bool, err error) {
	head, body, found := bytes.Cut(answer, headEnd)
	if !found {
		return nil, false, nil
	}
	if !bytes.HasPrefix(head, statusOK) {
		return nil, false, fmt.Errorf("the server responds with %q", answer)
	}
	if bytes.Contains(head, chunked) {
		return joinChunks(body)
	}
	_, rest, found := bytes.Cut(head, contentLength)
	if !found {
		return nil, false, fmt.Errorf("the response has no length: %q", head)
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	if err != nil {
		return nil, false, fmt.Errorf("invalid length of the response: %q", digits)
	}
	return body, len(body) >= length, nil
}

// joinChunks returns the contents of the chunks once the last one has arrived.
func joinChunks(chunks []byte) (body []byte, whole bool, err error) {
	for {
		digits, rest, found := bytes.Cut(chunks, []byte("\r\n"))
		if !found {
			return nil, false, nil
		}
		size, err := strconv.ParseUint(string(digits), 16, 31)
		if err != nil {
			return nil, false, fmt.Errorf("invalid length of a chunk: %q", digits)
		}
		end := int(size)
		if len(rest) < end+len("\r\n") {
			return nil, false, nil
		}
		if end == 0 {
			return body, true, nil
		}
		body = append(body, rest[:end]...)
		chunks = rest[end+len("\r\n"):]
	}
}

func percentiles(latencies []time.Duration) (p50, p99 time.Duration) {
	if len(latencies) == 0 {
		return 0, 0
	}
	slices.Sort(latencies)
	return latencies[len(latencies)/2], latencies[len(latencies)*99/100]
}
