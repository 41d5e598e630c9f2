package transport

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gobwas/ws"
)

// drain empties q and returns its payloads.
func drain(q *queue) (payloads []string) {
	for !q.empty() {
		payloads = append(payloads, string(q.pop().payload))
	}
	return payloads
}

func TestQueue_KeepsTheNewest(t *testing.T) {
	a, b := new(subscription), new(subscription)
	var q queue
	push := func(sub *subscription, key int64, payload string) { q.push(textEvent(sub, key, []byte(payload))) }
	push(a, 1, "a1 old")
	push(b, 1, "b1")
	q.push(textMessage([]byte("x")))
	push(a, 2, "a2")
	push(a, 1, "a1 newer")
	q.push(textMessage([]byte("x")))
	push(a, 1, "a1 newest")
	if got, want := drain(&q), []string{"a1 newest", "b1", "x", "a2", "x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if q.bytes != 0 || q.messages != nil || q.newest != nil {
		t.Errorf("an empty queue holds %+v", q)
	}
}

func TestQueue_ReplacesOnlyUndelivered(t *testing.T) {
	sub := new(subscription)
	var q queue
	for i := range 3 {
		q.push(textEvent(sub, int64(i), []byte(fmt.Sprint("old ", i))))
	}
	if got := string(q.pop().payload); got != "old 0" {
		t.Fatal(got)
	}
	q.push(textEvent(sub, 0, []byte("new 0")))
	q.push(textEvent(sub, 2, []byte("new 2")))
	if got, want := drain(&q), []string{"old 1", "new 2", "new 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQueue_Bounds(t *testing.T) {
	limit := bounds{bytes: 1000, messages: 3}
	var q queue
	if !q.fits(1<<20, limit) {
		t.Error("a long response does not fit an empty queue")
	}
	sub := new(subscription)
	q.push(textEvent(sub, 1, make([]byte, 100)))
	if q.fits(1000, limit) || !q.fits(100, limit) {
		t.Error("the bytes are not bounded")
	}
	q.push(message{op: ws.OpPong})
	q.push(message{op: ws.OpPong})
	if q.fits(0, limit) {
		t.Error("the messages are not bounded")
	}
	if !q.replaces(textEvent(sub, 1, nil)) || q.replaces(textEvent(sub, 2, nil)) || q.replaces(message{}) {
		t.Error("wrong result of replaces")
	}
}
