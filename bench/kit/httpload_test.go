//go:build linux

package kit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTPLoad(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		fmt.Fprintf(w, "hello %s", r.URL.Path)
	}))
	defer server.Close()
	load, err := DialHTTP(server.Listener.Addr().String(), 4, func(dst []byte) ([]byte, []byte) {
		return append(dst, "GET /ann HTTP/1.1\r\nHost: test\r\n\r\n"...), []byte("/ann")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Close()
	sample, err := load.Run(20 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if int64(sample.Requests) != served.Load() || sample.Requests < 4 || sample.P99 < sample.P50 {
		t.Errorf("%+v, and the server counts %d", sample, served.Load())
	}
}

func TestHTTPLoad_RunAt(t *testing.T) {
	for name, test := range map[string]struct {
		takes time.Duration
		p50   time.Duration // at least
	}{
		"fast": {0, 0},
		// Four connections respond to 80 requests a second, so half of 40 have waited for longer than
		// the 50 ms of a response.
		"slow": {50 * time.Millisecond, 60 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(test.takes) }))
			defer server.Close()
			load, err := DialHTTP(server.Listener.Addr().String(), 4, func(dst []byte) ([]byte, []byte) {
				return append(dst, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"...), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			defer load.Close()
			sample, err := load.RunAt(200, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if sample.Requests != 40 || sample.Elapsed < 190*time.Millisecond || sample.P50 < test.p50 || sample.P99 < sample.P50 {
				t.Errorf("%+v", sample)
			}
		})
	}
}

func TestHTTPLoadRefusesWrongAnswers(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "right", http.StatusTeapot) },
		"body":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "wrong") },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			load, err := DialHTTP(server.Listener.Addr().String(), 1, func(dst []byte) ([]byte, []byte) {
				return append(dst, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"...), []byte("right")
			})
			if err != nil {
				t.Fatal(err)
			}
			defer load.Close()
			if sample, err := load.Run(time.Millisecond); err == nil {
				t.Errorf("wrong response accepted: %+v", sample)
			}
		})
	}
}

func TestHTTPBody(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello"
	for n := range len(answer) {
		if _, whole, err := httpBody([]byte(answer[:n])); whole || err != nil {
			t.Fatalf("the first %d bytes: whole %v, %v", n, whole, err)
		}
	}
	if body, whole, err := httpBody([]byte(answer)); string(body) != "hello" || !whole || err != nil {
		t.Errorf("%q, whole %v, %v", body, whole, err)
	}
	if _, _, err := httpBody([]byte(strings.Replace(answer, "Content-Length: 5", "X: y", 1))); err == nil {
		t.Error("a response without a length was accepted")
	}
}

func TestHTTPBodyInChunks(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
	for end := range len(answer) {
		if _, whole, err := httpBody([]byte(answer[:end])); whole || err != nil {
			t.Fatalf("%q: whole %v, %v", answer[:end], whole, err)
		}
	}
	body, whole, err := httpBody([]byte(answer))
	if string(body) != "hello world" || !whole || err != nil {
		t.Errorf("%q, whole %v, %v", body, whole, err)
	}
	if _, _, err := httpBody([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n")); err == nil {
		t.Error("a chunk without a length went unnoticed")
	}
}
