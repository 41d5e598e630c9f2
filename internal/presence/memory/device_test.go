package memory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// patience bounds every wait for a write.
const patience = 30 * time.Second

// columns are columns whose writes the test ends, for exact interleavings.
type columns struct {
	t *testing.T
	// begun receives the rows of each write, which then waits for its result from ended.
	begun chan []mirror.Row
	ended chan error
}

func (c *columns) Write(ctx context.Context, rows []mirror.Row) error {
	select {
	case c.begun <- rows:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wants waits for the next write, which must be that of one account and of this presence.
func (c *columns) wants(want models.Presence) {
	c.t.Helper()
	var rows []mirror.Row
	select {
	case rows = <-c.begun:
	case <-time.After(patience):
		c.t.Fatalf("waited in vain for a write of %s", want)
	}
	if len(rows) != 1 || rows[0].ID != account.ID || rows[0].State.Presence != want {
		c.t.Fatalf("the write is %+v, want one of %s", rows, want)
	}
}

// stepped returns the shard of account, in a registry on such columns.
func stepped(t *testing.T) (*shard, *columns) {
	var clock atomic.Int64
	m := New(Config{
		Board: fanout.NewBoard(func(int) {}), Now: func() models.Time { return models.Time(clock.Add(1)) },
		LastDeviceGone: func(int64) {}, Observer: status.NoObserver{}, Devices: new(atomic.Int64),
		OnlineUsers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "online"}),
		Events:      prometheus.NewCounter(prometheus.CounterOpts{Name: "events"}),
	})
	c := &columns{t: t, begun: make(chan []mirror.Row), ended: make(chan error)}
	m.mirror = mirror.New(c, m.written)
	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.mirror.Run(life, life) })
	t.Cleanup(func() {
		end()
		running.Wait()
	})
	return m.shard(account.ID), c
}

// link is a link that does not end by itself.
type link struct{}

func (link) Cut(status.Cause)      {}
func (link) Client() status.Client { return status.Client{} }

var account = status.Account{ID: 1, AppID: 1, ExternalID: "a"}

// attempt is a call of Connect that has not returned yet.
type attempt struct {
	device *status.Device
	err    chan error
}

// connect lets a device of account in, and waits for its login in the background.
func (s *shard) connect(t *testing.T) attempt {
	t.Helper()
	d, err := s.arrive(account, models.PlatformWeb, link{})
	if err != nil {
		t.Fatal(err)
	}
	login, _, err := s.letIn(d)
	if err != nil {
		t.Fatal(err)
	}
	a := attempt{device: d, err: make(chan error, 1)}
	go func() { a.err <- s.announce(d, login.Wait(context.Background())) }()
	return a
}

// holds reports whether the account has the device, and whether it is ONLINE.
func (s *shard) holds(d *status.Device) (has, online bool) {
	s.Lock()
	defer s.Unlock()
	e := s.entries[account.ID]
	return e.has(d), e.online()
}

// After a failed write, no later write may record the login that was reported as failed.
func TestFailedWriteEndsItsLogins(t *testing.T) {
	s, c := stepped(t)
	first := s.connect(t)
	c.wants(models.PresenceOnline)
	second := s.connect(t) // connects during the write, waits for the next
	c.ended <- errors.New("no response")
	if err := <-first.err; err == nil {
		t.Fatal("the login was reported as recorded")
	}
	if has, _ := s.holds(first.device); has {
		t.Fatal("the device whose login failed is connected")
	}
	if has, online := s.holds(second.device); !has || online {
		t.Fatalf("the second device is connected: %t, its user ONLINE: %t", has, online)
	}
	c.wants(models.PresenceOnline)
	if len(second.err) != 0 {
		t.Fatal("the second login has ended before its write")
	}
	c.ended <- nil
	if err := <-second.err; err != nil {
		t.Fatal(err)
	}
	if has, online := s.holds(second.device); !has || !online {
		t.Fatalf("the second device is connected: %t, its user ONLINE: %t", has, online)
	}
}

// What undoes a login is written although the row then holds something newer, and in place of the
// login if that is still queued.
func TestUndoneLogin(t *testing.T) {
	s, c := stepped(t)
	first := s.connect(t)
	c.wants(models.PresenceOnline)
	c.ended <- errors.New("no response") // it may have been carried out nevertheless
	if err := <-first.err; err == nil {
		t.Fatal("the login was reported as recorded")
	}
	c.wants(models.PresenceUnlogined)
	second := s.connect(t)
	s.registry.Gone(second.device) // while its login is queued
	c.ended <- nil
	c.wants(models.PresenceUnlogined)
	c.ended <- nil
	if err := <-second.err; err != nil {
		t.Fatal(err) // its link has ended, which is not a failure of the login
	}
	s.Lock()
	defer s.Unlock()
	if e := s.entries[account.ID]; !e.idle() || e.durable != (status.State{Presence: models.PresenceUnlogined}) {
		t.Fatalf("the columns hold %+v", e.durable)
	}
}

// What the columns held before a write does not count while it is under way.
func TestLogoutDuringLoginWaits(t *testing.T) {
	s, c := stepped(t)
	s.connect(t)
	c.wants(models.PresenceOnline)
	s.Lock()
	e := s.entries[account.ID]
	s.end(e, every, models.PresenceUnlogined)
	saved := s.save(e)
	s.Unlock()
	c.ended <- nil
	c.wants(models.PresenceUnlogined)
	c.ended <- nil
	if err := saved.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Lock()
	held := e.durable
	s.Unlock()
	if want := (status.State{Presence: models.PresenceUnlogined}); held != want {
		t.Fatalf("the columns hold %+v", held)
	}

	s.connect(t)
	c.wants(models.PresenceOnline)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.registry.Logout(ctx, account, nil, true); !errors.Is(err, context.Canceled) {
		t.Fatalf("Logout returned %v while ONLINE was being written", err)
	}
	c.ended <- nil
	c.wants(models.PresenceUnlogined)
	c.ended <- nil
}
