package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/once"
	"rollcall/internal/outage"
	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// node is a registry on a database with one app and some users. The tests of the Hub cover what
// nodes do together; those here step into a node's work.
type node struct {
	*Registry
	t     *testing.T
	users []*models.User
}

func newNode(t *testing.T, users int) *node {
	t.Helper()
	db := testenv.Open(t, testenv.MySQLURL(t))
	app := models.App{
		Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	n := &node{t: t}
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(&app).Error; err != nil {
			return err
		}
		for i := range users {
			n.users = append(n.users, &models.User{AppID: app.ID, ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1})
		}
		return tx.Create(n.users).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	n.start(db)
	return n
}

// start starts the node's registry, which ends with the test.
func (n *node) start(db *database.DB) {
	n.t.Helper()
	var clock atomic.Int64
	clock.Store(1_700_000_000_000)
	counter := func() prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts{Name: "counter"}) }
	log := slog.New(slog.DiscardHandler)
	n.Registry = New(Config{
		Redis: testenv.OpenRedis(n.t, testenv.RedisURL(n.t), testenv.Service()), DB: db, Log: log,
		Columns: &mirror.Columns{
			DB: db, Log: outage.NewLog(log), Forward: true, Failures: counter(),
			Seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds"}),
		},
		Board: fanout.NewBoard(func(int) {}), Now: func() models.Time { return models.Time(clock.Add(1)) },
		LastDeviceGone: func(int64) {}, NodeSwept: func(context.Context) {}, Observer: status.NoObserver{},
		Devices: new(atomic.Int64), OnlineUsers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "online"}),
		Events: counter(), RedisFailures: counter(), NodesSwept: counter(),
	})
	if err := n.Start(context.Background()); err != nil {
		n.t.Fatal(err)
	}
	closing, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(closing, context.Background()) })
	n.t.Cleanup(func() {
		n.Close(context.Background())
		n.Board.Close()
		end()
		running.Wait()
		n.Board.Wait()
	})
}

func (n *node) account(i int) status.Account { return status.AccountOf(n.users[i]) }

func (n *node) connect(i int) *status.Device {
	n.t.Helper()
	acc := n.account(i)
	d, err := n.Connect(context.Background(), acc, models.PlatformWeb, new(link),
		func(context.Context) (status.Account, error) { return acc, nil })
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

func (n *node) wantPresence(i int, want models.Presence) {
	n.t.Helper()
	got, err := n.Status(context.Background(), n.account(i))
	if err != nil || got.Presence != want {
		n.t.Fatalf("u%d is %s (%v), want %s", i, got.Presence, err, want)
	}
}

// link notes why it was cut.
type link struct {
	mu      sync.Mutex
	reasons []status.Reason
}

func (l *link) Cut(cause status.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reasons = append(l.reasons, cause.Reason)
}

func (l *link) Client() status.Client { return status.Client{} }

// recorder is a sink that counts.
type recorder struct{ events atomic.Int64 }

func (r *recorder) Deliver(*fanout.Event) { r.events.Add(1) }

// TestConnect_LearnsWhatWasSetMeanwhile checks that the node knows a custom status that is set
// before the channel of the user's own changes is subscribed.
func TestConnect_LearnsWhatWasSetMeanwhile(t *testing.T) {
	n, ctx := newNode(t, 1), context.Background()
	n.connect(0)
	if err := n.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	id := n.users[0].ID
	b := n.bucketOf(id)
	b.views.mu.Lock()
	view := b.views.byTopic[status.UserKey(id)]
	view.unsubscribed = true
	b.views.pending++
	b.views.mu.Unlock()
	n.connect(0)
	if _, err := n.SetStatus(ctx, n.account(0), "unheard"); err != nil {
		t.Fatal(err)
	}
	if err := n.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	b.views.mu.Lock()
	view.record, view.lastOnline = nil, nil
	b.views.mu.Unlock()
	b.views.after([]string{b.ledger.UserChannel(id)})
	if got := b.views.known(id).Custom; got != "unheard" {
		t.Errorf("the node knows the custom status %q", got)
	}
}

// TestCatchUp_FindsWhatNoChannelHad checks that a watcher receives a change, once, that was made after
// the version from which its channel was to deliver changes and before it was subscribed.
func TestCatchUp_FindsWhatNoChannelHad(t *testing.T) {
	n, ctx := newNode(t, 1), context.Background()
	n.connect(0)
	id := n.users[0].ID
	if err := errors.Join(n.Settle(ctx), n.Receive(ctx)); err != nil {
		t.Fatal(err)
	}
	b := n.bucketOf(id)
	b.views.mu.Lock()
	view := b.views.byTopic[status.UserKey(id)]
	view.since, view.delivered = view.record.Version-1, view.record.Version-1
	b.views.mu.Unlock()
	seen := new(recorder)
	w := &fanout.Watcher{Sink: seen}
	n.Board.Join(fanout.Pointers(fanout.Watches(w, []int64{status.UserKey(id)})))
	for range 2 {
		if err := n.CatchUp(ctx, w, &status.Absence{Gaps: []status.Gap{{UserID: id}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.SetStatus(ctx, n.account(0), "later"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); seen.events.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events were delivered, want the login and the custom status", seen.events.Load())
		}
	}
	if err := n.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if got := seen.events.Load(); got != 2 {
		t.Errorf("%d events were delivered, want 2", got)
	}
}

// TestRepair_WorksUnderOneName checks that a repair ends when the node gets another name, and that
// nothing under the former name is swept before all devices have been written under the new one.
func TestRepair_WorksUnderOneName(t *testing.T) {
	n, ctx := newNode(t, 3), context.Background()
	for i := range 3 {
		n.connect(i)
	}
	seen := new(recorder)
	var keys []int64
	for _, u := range n.users {
		n.Follow(status.UserKey(u.ID))
		keys = append(keys, status.UserKey(u.ID))
	}
	if err := errors.Join(n.Settle(ctx), n.Receive(ctx)); err != nil { // the logins are received
		t.Fatal(err)
	}
	n.Board.Join(fanout.Pointers(fanout.Watches(&fanout.Watcher{Sink: seen}, keys)))
	release := n.Hold(n.account(1))
	b := n.bucketOf(n.users[1].ID)
	name := b.lease.current()
	ended := make(chan error, 1)
	go func() { ended <- b.rewrite(ctx, name) }()
	for range 3 {
		former := b.lease.current()
		_ = b.noteFailedStep(errors.New("a test"))
		if err := b.lease.awaitRename(ctx, former); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := <-ended; !errors.Is(err, errRenamed) {
		t.Errorf("the repair under a former name returned %v", err)
	}
	for deadline := time.Now().Add(patience); n.Stats().Repairing; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the repair did not end")
		}
	}
	if got := seen.events.Load(); got != 0 {
		t.Errorf("%d events were delivered, though nothing has changed", got)
	}
	for _, server := range n.Redis.Nodes() { // more than one in a cluster
		names, err := server.Do(ctx, server.B().Keys().Pattern(b.Redis.Key("*")).Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range names {
			if strings.Contains(key, ":node:") && !strings.HasSuffix(key, b.lease.current()) {
				t.Errorf("%s is left", key)
			}
		}
	}
	for i := range 3 {
		n.wantPresence(i, models.PresenceOnline)
	}
}

// TestDisconnectElsewhere_BeatsConnect checks that a device that another node disconnects before
// this one has connected it is cut too.
func TestDisconnectElsewhere_BeatsConnect(t *testing.T) {
	n, ctx := newNode(t, 1), context.Background()
	l := new(link)
	b := n.bucketOf(n.users[0].ID)
	d := status.NewDevice(b, n.account(0), models.PlatformWeb, l, n.Now())
	local, err := b.arrive(d)
	if err != nil {
		t.Fatal(err)
	}
	login := ledger.Login{Node: b.lease.current(), User: d.Account().Disconnected(), Device: d.Info(), Now: n.Now()}
	var unrecorded *ledger.LoginError
	if _, err = b.register(ctx, local, d, login); !errors.As(err, &unrecorded) {
		t.Fatalf("the login returned %v", err)
	}
	b.receiveMessage(b.ledger.CutChannels(n.identity)[0], fmt.Sprint(d.Account().ID, " ", encodeCause(status.Cause{Reason: status.ReasonDisconnected}), " 0 ", d.Info().ID))
	if len(l.reasons) != 1 || l.reasons[0] != status.ReasonDisconnected {
		t.Fatalf("the link was cut for %v", l.reasons)
	}
	login.Recorded = unrecorded.At
	if there, err := b.register(ctx, local, d, login); !there || err != nil {
		t.Fatalf("the device was not connected: %v", err)
	}
	d.Gone()
	n.wantPresence(0, models.PresenceOffline)
}

// TestSweep_AtOneNode checks that a dead node is not swept while another node sweeps, and is once that
// has ended without success.
func TestSweep_AtOneNode(t *testing.T) {
	n, ctx := newNode(t, 1), context.Background()
	b, account := n.bucketOf(n.users[0].ID), n.account(0)
	holds, free, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := once.New(b.Redis, "sweep").Try(ctx, func(context.Context) error {
			close(holds)
			<-free
			return errors.New("failed")
		})
		ended <- err
	}()
	<-holds
	if _, err := b.ledger.Renew(ctx, ledger.Renewal{Node: "dead.1", Length: LeaseLength, Enter: true}); err != nil {
		t.Fatal(err)
	}
	login := ledger.Login{
		Node: "dead.1", User: account, Now: 1, Recorded: 1,
		Device: models.Device{ID: "d", Platform: models.PlatformWeb, ConnectedAt: 1},
	}
	if _, err := b.ledger.Connect(ctx, login); err != nil {
		t.Fatal(err)
	}
	if err := b.ledger.Retire(ctx, "dead.1"); err != nil {
		t.Fatal(err)
	}
	end := func() int64 {
		b.lease.mu.Lock()
		defer b.lease.mu.Unlock()
		return b.lease.end
	}
	for range 3 { // renewals return the dead node
		for deadline, before := time.Now().Add(patience), end(); end() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the node does not renew its lease")
			}
		}
	}
	n.wantPresence(0, models.PresenceOnline)
	close(free)
	<-ended
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got, err := n.Status(ctx, account)
		if err != nil {
			t.Fatal(err)
		}
		if got.Presence == models.PresenceOffline {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the dead node is not swept")
		}
	}
}
