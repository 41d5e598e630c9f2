package graphtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// stream begins a subscription over SSE.
func (w *World) stream(authorization, query string, variables map[string]any) *Live {
	w.T.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.T.Cleanup(stop)
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		w.T.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("X-Platform", "WEB")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	l := &Live{t: w.T, events: make(chan Response, eventRoom), close: stop, reading: new(sync.Mutex)}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		r := responseOf(message{Payload: text})
		r.Status = resp.StatusCode
		l.events <- r
		return l
	}
	go func() {
		defer resp.Body.Close()
		l.read(resp.Body)
	}()
	return l
}

// read handles the events of a stream until it ends or breaks.
func (l *Live) read(stream io.Reader) {
	in := bufio.NewScanner(stream)
	in.Buffer(nil, 1<<20)
	kind := ""
	for in.Scan() {
		l.reading.Lock()
		name, value, _ := strings.Cut(in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "event":
			kind = value
		case name == "data" && kind == "next":
			l.events <- responseOf(message{Payload: []byte(value)})
		case name == "data" && kind == "complete":
			l.events <- Response{}
		}
		l.reading.Unlock()
	}
}
