package bus_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// note is a message about a user.
type note struct{ User, N int64 }

// Two subjects whose messages have one order.
const (
	notes      bus.UserSubject[note] = "notes"
	otherNotes bus.UserSubject[note] = "other-notes"
)

// follower is a node that records the notes that it receives.
type follower struct {
	*node
	notes []note
}

func newFollower(t *testing.T, url, service string) *follower {
	f := new(follower)
	f.node = newNode(t, url, service)
	record := func(_ context.Context, n note) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.notes = append(f.notes, n)
	}
	notes.Hear(&f.Bus, record)
	otherNotes.Hear(&f.Bus, record)
	return f
}

// Notes about the users from firstFence on are sent last. They are users of all parts of Redis, so a
// node that follows them and has received these notes has received all that were sent to it before.
const firstFence, fences = 1_000_001, 200

func (f *follower) followFences(t *testing.T) {
	for id := int64(firstFence); id < firstFence+fences; id++ {
		t.Cleanup(f.Follow(t.Context(), id))
	}
}

// followFurther follows users of all parts of Redis, others in each round. When it returns, unfollow
// functions that were called before have taken effect.
func (f *follower) followFurther(t *testing.T, round int64) {
	for id := range int64(fences) {
		t.Cleanup(f.Follow(t.Context(), firstFence+round*fences+id))
	}
}

func (f *follower) sendFences() {
	for id := int64(firstFence); id < firstFence+fences; id++ {
		notes.Tell(&f.Bus, id, note{User: id})
	}
}

// wants waits for the fences and checks the other notes, in the order of their users.
func (f *follower) wants(t *testing.T, want ...note) {
	t.Helper()
	isFence := func(n note) bool { return n.User >= firstFence }
	f.eventually(t, func() bool {
		n := 0
		for _, got := range f.notes {
			if isFence(got) {
				n++
			}
		}
		return n == fences
	}, "the last notes")
	f.mu.Lock()
	defer f.mu.Unlock()
	got := slices.DeleteFunc(f.notes, isFence)
	slices.SortStableFunc(got, func(a, b note) int { return int(a.User - b.User) })
	if !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}
	f.notes = nil
}

func TestUserSubject_ReachesOnlyNodesThatFollow(t *testing.T) {
	url, service := testenv.RedisURL(t), testenv.Service()
	a, b, c := newFollower(t, url, service), newFollower(t, url, service), newFollower(t, url, service)
	b.followFences(t)
	c.followFences(t)
	tell := func() {
		for id := range int64(100) {
			notes.Tell(&a.Bus, id+1, note{id + 1, 1})
		}
		a.sendFences()
	}
	unfollow := b.Follow(t.Context(), 7, 40)
	second := b.Follow(t.Context(), 40)
	tell()
	b.wants(t, note{7, 1}, note{40, 1})
	c.wants(t)
	unfollow()
	unfollow()
	b.followFurther(t, 1)
	tell()
	b.wants(t, note{40, 1})
	second()
	b.followFurther(t, 2)
	tell()
	b.wants(t)
}

func TestUserSubject_OrderOfTwoSubjects(t *testing.T) {
	url, service := testenv.RedisURL(t), testenv.Service()
	a, b := newFollower(t, url, service), newFollower(t, url, service)
	defer b.Follow(t.Context(), 1, 2)()
	const count = 2000
	for n := int64(0); n < count; n += 2 {
		for user := range int64(2) {
			notes.Tell(&a.Bus, user+1, note{user + 1, n})
			otherNotes.Tell(&a.Bus, user+1, note{user + 1, n + 1})
		}
	}
	b.eventually(t, func() bool { return len(b.notes) == 2*count }, "all notes")
	var next [2]int64
	for _, got := range b.notes {
		if got.N != next[got.User-1] {
			t.Fatalf("user %d: received note %d before %d", got.User, got.N, next[got.User-1])
		}
		next[got.User-1]++
	}
}

// TestFollow_ThenRead changes facts while another node begins to follow them. A read after Follow has
// returned shows the change, or the node receives the message about it.
func TestFollow_ThenRead(t *testing.T) {
	url, service := testenv.RedisURL(t), testenv.Service()
	a, b := newFollower(t, url, service), newFollower(t, url, service)
	const users = 500
	var unread []int64
	for id := int64(1); id <= users; id++ {
		var changed atomic.Bool
		var both sync.WaitGroup
		both.Go(func() {
			changed.Store(true)
			notes.Tell(&a.Bus, id, note{User: id})
		})
		both.Go(func() {
			t.Cleanup(b.Follow(t.Context(), id))
			if !changed.Load() {
				unread = append(unread, id)
			}
		})
		both.Wait()
	}
	b.eventually(t, func() bool {
		return !slices.ContainsFunc(unread, func(id int64) bool { return !slices.Contains(b.notes, note{User: id}) })
	}, "the changes that were not read")
}

// TestFollow_LostConnection: a node that has lost its connection reads again what it follows, also
// what it began to follow meanwhile, and receives the messages after that.
func TestFollow_LostConnection(t *testing.T) {
	testenv.NeedSingleRedis(t)
	url, service := testenv.RedisURL(t), testenv.Service()
	proxy := testenv.NewProxy(t, url[len("redis://"):])
	a, b := newFollower(t, url, service), newFollower(t, "redis://"+proxy.Address(), service)
	defer b.Follow(t.Context(), 1)()
	proxy.Cut()
	notes.Tell(&a.Bus, 1, note{1, 1})
	defer b.Follow(t.Context(), 2)()
	notes.Tell(&a.Bus, 2, note{2, 1})
	proxy.Heal()
	b.eventually(t, func() bool { return b.missed > 0 }, "word that something was missed")
	defer b.Follow(t.Context(), 2)()
	notes.Tell(&a.Bus, 2, note{2, 2})
	b.eventually(t, func() bool { return slices.Contains(b.notes, note{2, 2}) }, "a note after that")
}

// TestUserSubject_BesideAnEarlierRelease has nodes and one of an earlier release send each other
// messages about users. That one knows only one channel.
func TestUserSubject_BesideAnEarlierRelease(t *testing.T) {
	url, service := testenv.RedisURL(t), testenv.Service()
	client := testenv.OpenRedis(t, url, service)
	listen := func(channels ...string) (heard func() []string, stop func()) {
		var mu sync.Mutex
		var texts []string
		feed := client.Listen(redis.Listener{
			Message: func(_, text string) {
				mu.Lock()
				defer mu.Unlock()
				texts = append(texts, text[strings.Index(text, " ")+1:])
			},
			Gap: func(context.Context) error { return nil },
		}, slog.New(slog.DiscardHandler), channels...)
		if err := feed.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		return func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(texts)
		}, feed.Close
	}
	a, b := newFollower(t, url, service), newFollower(t, url, service)
	b.followFences(t)
	defer b.Follow(t.Context(), 1)()
	earlier, end := listen(client.Key("bus"))
	for n := range int64(3) {
		notes.Tell(&a.Bus, 1, note{1, n})
	}
	numbers.Tell(&a.Bus, 5)
	if err := client.Do(t.Context(), client.Publish(client.Key("bus"), `EARLIER notes {"User":1,"N":9}`)).Error(); err != nil {
		t.Fatal(err)
	}
	b.eventually(t, func() bool { return len(b.heard) == 1 && slices.Contains(b.notes, note{1, 9}) }, "the number, and the note of the earlier node")
	for deadline := time.Now().Add(20 * time.Second); len(earlier()) < 5 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	end()
	for alone := false; !alone; { // until Redis has noticed
		counts, err := client.Do(t.Context(), client.CountSubscribers(client.Key("bus"))).AsIntMap()
		if err != nil {
			t.Fatal(err)
		}
		alone = counts[client.Key("bus")] == 2
	}
	var copies []string
	for _, text := range earlier() {
		if strings.HasPrefix(text, "notes") {
			copies = append(copies, text)
		}
	}
	want := []string{`notes {"User":1,"N":9}`}
	for n := range 3 {
		want = append(want, `notes {"User":1,"N":`+strconv.Itoa(n)+`}`)
	}
	slices.Sort(copies)
	slices.Sort(want)
	if !slices.Equal(copies, want) {
		t.Errorf("the earlier node received %q, want %q", copies, want)
	}

	// Nothing is sent twice once it has ended.
	all, stop := listen(client.Key("bus"), client.Key("bus:by-user"))
	defer stop()
	notes.Tell(&a.Bus, 1, note{1, 3})
	a.sendFences()
	b.eventually(t, func() bool { return len(b.notes) == 5+fences }, "all notes")
	numbers.Tell(&a.Bus, 6)
	b.eventually(t, func() bool { return len(b.heard) == 2 }, "the last number")
	slices.SortFunc(b.notes, func(x, y note) int { return int(x.N - y.N) })
	b.wants(t, note{1, 0}, note{1, 1}, note{1, 2}, note{1, 3}, note{1, 9})
	if got := all(); !slices.Equal(got, []string{"numbers 6"}) {
		t.Errorf("sent %q to all nodes, want only the last number", got)
	}
}
