package vitals

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// nodes are nodes of one database whose reports a test makes by hand.
type nodes struct {
	t  *testing.T
	db *database.DB
}

func (s *nodes) node(name string) *Node {
	n := New(Config{
		DB: s.db, Name: name, Version: "1.2.3", Devices: func() int { return 7 }, Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	n.redis = &watched{}
	return n
}

func (s *nodes) beat(n *Node, place string, arriving bool) {
	s.t.Helper()
	if err := n.beat(context.Background(), place, arriving); err != nil {
		s.t.Fatal(err)
	}
}

// age makes the database believe that nothing was heard of the node for d more.
func (s *nodes) age(n *Node, d time.Duration) {
	s.t.Helper()
	if err := s.db.Exec(context.Background(), "UPDATE service_nodes SET seen_at = seen_at - ? WHERE id = ?", d.Milliseconds(), n.id); err != nil {
		s.t.Fatal(err)
	}
}

// want fails the test unless n sees these states of other nodes, by name.
func (s *nodes) want(n *Node, when string, want map[string]NodeState) {
	s.t.Helper()
	got := map[string]NodeState{}
	for _, p := range n.Health().Others {
		got[p.Name] = p.State
		if p.Devices != 7 || p.Version != "1.2.3" || p.Seen == 0 || (p.State == Lost || p.State == Unsure) && p.Since() != p.Seen {
			s.t.Errorf("%s: %+v", when, p)
		}
	}
	for name, state := range want {
		if got[name] != state {
			s.t.Errorf("%s: %s is %q, want %q", when, name, got[name], state)
		}
	}
	if len(got) != len(want) {
		s.t.Errorf("%s: %v, want %v", when, got, want)
	}
}

func TestNodes_LostUntilKnownToHaveEnded(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := &nodes{t, db}
		self, other, third := s.node("self"), s.node("other"), s.node("third")
		look := func() { s.beat(self, "a", false) }
		s.beat(other, "b", true)
		s.beat(third, "c", true)
		look()
		s.want(self, "both run", map[string]NodeState{"other": Running, "third": Running})
		third.Drain()
		s.beat(third, "c", false)
		look()
		s.want(self, "one drains", map[string]NodeState{"other": Running, "third": Stopping})
		if err := third.leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		look()
		s.want(self, "it has stopped", map[string]NodeState{"other": Running})

		s.age(other, silence+time.Second)
		look()
		s.want(self, "before this node has looked for long", map[string]NodeState{"other": Unsure})
		self.steady = self.steady.Add(-silence)
		look()
		s.want(self, "killed", map[string]NodeState{"other": Lost})
		if !self.Health().Others[0].Fresh {
			t.Error("it was not lost just now")
		}
		s.age(other, fresh)
		look()
		s.want(self, "a while ago", map[string]NodeState{"other": Lost})
		if self.Health().Others[0].Fresh {
			t.Error("it was lost just now")
		}
		s.beat(other, "b", false)
		look()
		s.want(self, "it was only cut off", map[string]NodeState{"other": Running})

		s.age(other, silence+time.Second)
		next := s.node("next")
		s.beat(next, "d", true)
		look()
		s.want(self, "a node at another place", map[string]NodeState{"other": Lost, "next": Running})
		s.beat(next, "b", true)
		look()
		s.want(self, "one at the same place", map[string]NodeState{"next": Running})

		s.age(next, KeepLost+time.Second)
		sweeper := retention.New(db, time.Now, slog.New(slog.DiscardHandler), Expiring()...)
		if n, err := sweeper.Sweep(context.Background()); n != 1 || err != nil {
			t.Errorf("%d swept, %v", n, err)
		}
		look()
		s.want(self, "after a day", map[string]NodeState{})
	})
}

// TestNodes_NoneIsLostWithoutTheDatabase: a node that could not read the reports does not know.
func TestNodes_NoneIsLostWithoutTheDatabase(t *testing.T) {
	s := &nodes{t, testenv.Open(t, testenv.SQLiteURL(t))}
	self, other := s.node("self"), s.node("other")
	s.beat(other, "b", true)
	s.beat(self, "a", true)
	self.steady = self.steady.Add(-silence)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := self.beat(gone, "a", false); err == nil {
		t.Fatal("it reported itself")
	}
	s.want(self, "while it cannot report", map[string]NodeState{"other": Unsure})
	s.age(other, silence+time.Second) // nor could the other
	s.beat(self, "a", false)
	s.want(self, "just after", map[string]NodeState{"other": Unsure})
	s.beat(other, "b", false)
	s.beat(self, "a", false)
	s.want(self, "and then", map[string]NodeState{"other": Running})
}

// TestNodes_CostIsConstant: a report is as many statements with 500 nodes as with one, and is bounded.
func TestNodes_CostIsConstant(t *testing.T) {
	s := &nodes{t, testenv.Open(t, testenv.SQLiteURL(t))}
	self := s.node("self")
	s.beat(self, "a", true)
	cost := func() int {
		return len(testenv.Statements(t, s.db, func() { s.beat(self, "a", false) }))
	}
	before := cost()
	for i := range 3 * listed {
		row := models.ServiceNode{ID: int64(i + 1), Name: "n", Version: "1"}
		if err := s.db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Create(&row).Error }); err != nil {
			t.Fatal(err)
		}
	}
	if after := cost(); after != before {
		t.Errorf("%d statements, %d with one node", after, before)
	}
	if got := len(self.Health().Others); got != listed {
		t.Errorf("%d are listed", got)
	}
}

func TestRunningOn_NamesNodesThatReport(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := &nodes{t, db}
		one, two, lost := s.node("one"), s.node("two"), s.node("lost")
		s.beat(lost, "c", true)
		s.age(lost, silence)
		s.beat(two, "b", true)
		s.beat(one, "a", true)
		if names, err := RunningOn(t.Context(), db); err != nil || !slices.Equal(names, []string{"one", "two"}) {
			t.Errorf("%q run, %v", names, err)
		}
	})
}

// TestMeet: a node that cannot read which Redis it has does not take the others for strangers.
func TestMeet(t *testing.T) {
	url := testenv.RedisURL(t)
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s, service := &nodes{t, db}, testenv.Service()
		meet := func(name, place, service string) ([]string, error) {
			n := s.node(name)
			n.Redis = testenv.OpenRedis(t, url, service)
			return n.Meet(t.Context(), place)
		}
		for _, step := range []struct {
			name, service string
			want          []string
		}{{"first", service, nil}, {"second", service, nil}, {"elsewhere", testenv.Service(), []string{"first", "second"}}} {
			got, err := meet(step.name, step.name, step.service)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, step.want) {
				t.Errorf("%s: strangers %s, %v; want %s", step.name, got, err, step.want)
			}
		}
		n := s.node("deaf")
		n.Redis = testenv.OpenRedis(t, url, service)
		n.Redis.Close()
		if got, err := n.Meet(t.Context(), "deaf"); err == nil || !strings.Contains(err.Error(), "know their Redis") || len(got) > 0 {
			t.Errorf("without a response of Redis: strangers %s, %v", got, err)
		}
	})
}
