package relations

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/opaque"
	"rollcall/internal/testenv"
)

// reader is a sink that reads every field that a subscriber may select.
type reader struct{ t *testing.T }

func (r *reader) Deliver(ev *fanout.Event) {
	event := ev.Value().(*Event)
	if !slices.Contains(eventKinds, event.Kind) || event.User.State(event.OccurredAt) == "" {
		r.t.Errorf("delivered %+v", event)
	}
	if f := event.Friendship; f != nil {
		_ = f.ID()
	}
	if q := event.Request; q != nil {
		_ = q.From.ExternalID + q.To.ExternalID
	}
}

// FuzzEvent sends messages about relations as if from other nodes. Subscribers must receive only
// complete events.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"To":1,"Event":{"Kind":"FRIEND_ADDED","User":{"ID":2,"ExternalID":"bob","Name":"Bob"},"OccurredAt":1790000000123,"Friendship":{"Owner":null},"Request":{}}}`))
	f.Add([]byte(`{"To":1,"Event":null}`))
	f.Add([]byte(`{"To":1,"Event":{"Kind":"FRIEND_ADDED","User":null}}`))
	f.Add([]byte(`{"To":1,"Event":{"Kind":"OF_ANOTHER_VERSION","User":{}}}`))
	f.Add([]byte(`{"To":1,"Event":{"User":{}}}`))
	f.Add([]byte(`null`))
	b := new(bus.Bus)
	s := New(testenv.Open(f, testenv.SQLiteURL(f)), b, opaque.Secret{1}, time.Now)
	f.Fuzz(func(t *testing.T, body []byte) {
		sink := &reader{t}
		for to := range int64(3) {
			defer s.Watch(t.Context(), to, sink)()
		}
		b.Receive(t.Context(), string(eventMessage), body)
	})
}
