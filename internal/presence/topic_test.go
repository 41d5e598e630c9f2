package presence

import (
	"testing"

	"rollcall/internal/fanout"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// gathering is a sink that notes in which order it is given events and flushed.
type gathering struct {
	recorder
	notes string
}

func (g *gathering) Gather(ev *Event) {
	g.notes += "g"
	g.Deliver(ev)
}

func (g *gathering) Flush() { g.notes += "f" }

func TestEventsThatComeTogetherAreGathered(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)), 0)
	s := &w.shards[1]
	s.topics = topics{}
	gatherer, plain := new(gathering), new(recorder)
	for _, sink := range []Sink{gatherer, plain} {
		to := &watcher{sink: sink}
		s.topics.join(&joining{watcher: to, watches: []*watch{{watcher: to, key: userTopic(1)}}})
	}
	event := func(id string) job {
		return job{event: fanout.New(1, &models.UserStatus{UserID: id}), to: [...]int64{userTopic(1), appTopic(1)}}
	}
	s.publish([]job{event("a")})
	if gatherer.notes != "" {
		t.Errorf("one event alone: %q", gatherer.notes)
	}
	s.publish([]job{event("b"), event("c")})
	if gatherer.notes != "ggff" {
		t.Errorf("two events together: %q", gatherer.notes)
	}
	w.publishing.Add(1) // another shard is at it
	s.publish([]job{event("d")})
	w.publishing.Add(-1)
	if gatherer.notes != "ggffgf" {
		t.Errorf("an event beside another shard's: %q", gatherer.notes)
	}
	want := "a:UNLOGINED b:UNLOGINED c:UNLOGINED d:UNLOGINED"
	gatherer.want(t, want)
	plain.want(t, want)
}

func TestEventsAreGatheredUpToTheNextJoin(t *testing.T) {
	jobs := []job{{event: &Event{}}, {event: &Event{}}, {join: &joining{}}, {event: &Event{}}}
	if n := events(jobs); n != 2 {
		t.Errorf("%d events come together, want 2", n)
	}
	if n := events(jobs[2:]); n != 0 {
		t.Errorf("%d events before the join, want 0", n)
	}
	many := make([]job, publishTogether+1)
	for i := range many {
		many[i].event = &Event{}
	}
	if n := events(many); n != publishTogether {
		t.Errorf("%d events come together, want %d", n, publishTogether)
	}
}
