package presence

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// connectLimited connects a device of a user with that device limit.
func (w *world) connectLimited(i, limit int) (*status.Device, *link) {
	w.t.Helper()
	acc := w.account(i)
	acc.DeviceLimit = limit
	l := new(link)
	d, err := w.Connect(context.Background(), acc, models.PlatformWeb, l, allowed)
	if err != nil {
		w.t.Fatal(err)
	}
	return d, l
}

// eachService runs test with one node, and with two nodes that share a Redis.
func eachService(t *testing.T, users int, test func(t *testing.T, nodes []*world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("one node", func(t *testing.T) { test(t, []*world{newWorld(t, db, users)}) })
	})
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("two nodes", func(t *testing.T) { test(t, newNodes(t, db, 2, users)) })
	})
}

// wantDevices compares a user's devices as each node returns them.
func wantDevices(t *testing.T, nodes []*world, i int, want ...*status.Device) {
	t.Helper()
	for n, w := range nodes {
		got := w.Devices(w.users[i].ID)
		ok := len(got) == len(want)
		for at := 0; ok && at < len(got); at++ {
			ok = got[at] == want[at].Info()
		}
		if !ok {
			t.Errorf("node %d has the devices %+v, want %d", n, got, len(want))
		}
	}
}

// TestConnect_DeviceLimit: a further device cuts the oldest one, on whichever node it is, and does
// not change the user's status.
func TestConnect_DeviceLimit(t *testing.T) {
	eachService(t, 2, func(t *testing.T, nodes []*world) {
		const limit = 3
		told := new(recorder)
		nodes[0].WatchUsers([]status.Account{nodes[0].account(0)}, told, true)
		var devices []*status.Device
		var links []*link
		connect := func(limit int) {
			t.Helper()
			d, l := nodes[len(devices)%len(nodes)].connectLimited(0, limit)
			devices, links = append(devices, d), append(links, l)
		}
		for range limit {
			connect(limit)
		}
		_, other := nodes[0].connectLimited(1, limit)
		for _, l := range links {
			l.want(t)
		}
		for i := range 2 {
			connect(limit)
			links[i].wants(nodes[0], status.ReasonDeviceLimit)
			devices[i].Gone() // as its link does then
			wantDevices(t, nodes, 0, devices[i+1:]...)
		}
		// A device that leaves makes room.
		devices[3].Gone()
		connect(limit)
		wantDevices(t, nodes, 0, devices[2], devices[4], devices[5])
		links[2].want(t)
		// A lower limit applies from the next device on, which cuts all surplus devices at once.
		connect(2)
		links[2].wants(nodes[0], status.ReasonDeviceLimit)
		links[4].wants(nodes[0], status.ReasonDeviceLimit)
		wantDevices(t, nodes, 0, devices[5:]...)
		connect(1)
		links[5].wants(nodes[0], status.ReasonDeviceLimit)
		links[6].wants(nodes[0], status.ReasonDeviceLimit)
		wantDevices(t, nodes, 0, devices[7])
		links[7].want(t)
		other.want(t)
		nodes[0].wantPresence(0, models.PresenceOnline)
		devices[7].Gone()
		nodes[0].eventually(func() bool {
			got := told.statuses()[nodes[0].users[0].ID]
			return len(got) == 3 && got[1].Presence == models.PresenceOnline && got[2].Presence == models.PresenceOffline
		}, "UNLOGINED, ONLINE and OFFLINE to be delivered, and nothing else; got %q", told)
	})
}

// TestConnect_DeviceLimitUnderConcurrency: however many devices connect concurrently, exactly as
// many remain as the limit allows.
func TestConnect_DeviceLimitUnderConcurrency(t *testing.T) {
	eachService(t, 1, func(t *testing.T, nodes []*world) {
		const limit, count = 4, 40
		links := make([]*link, count)
		var wg sync.WaitGroup
		for i := range count {
			wg.Go(func() { _, links[i] = nodes[i%len(nodes)].connectLimited(0, limit) })
		}
		wg.Wait()
		cut := func() (n int) {
			for _, l := range links {
				l.mu.Lock()
				n += len(l.reasons)
				l.mu.Unlock()
			}
			return n
		}
		nodes[0].eventually(func() bool { return cut() == count-limit }, "%d links to be cut; %d were", count-limit, cut())
		for _, w := range nodes {
			if got := w.Devices(w.users[0].ID); len(got) != limit {
				t.Errorf("%d devices remain, want %d", len(got), limit)
			}
		}
		here := 0
		for _, w := range nodes {
			here += w.DeviceCount()
		}
		if here != limit {
			t.Errorf("the nodes have %d devices, want %d", here, limit)
		}
	})
}

// TestConnect_RemembersFewCuts: a user that connects again and again does not make its record in
// Redis grow.
func TestConnect_RemembersFewCuts(t *testing.T) {
	client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	l := ledger.New(client)
	if _, err := l.Renew(context.Background(), ledger.Renewal{Node: "node", Length: time.Minute, Enter: true}); err != nil {
		t.Fatal(err)
	}
	const connects = 400
	for i := range connects {
		out, err := l.Connect(context.Background(), ledger.Login{
			Node: "node", User: status.Account{ID: 1, AppID: 1, ExternalID: "u"}, Now: 1, Recorded: 1,
			Device: models.Device{ID: fmt.Sprint("d", i), Platform: models.PlatformWeb, ConnectedAt: 1}, Limit: 2, Reason: "6",
		})
		if err != nil || i >= 2 && fmt.Sprint(out.Surplus) != fmt.Sprintf("[d%d]", i-2) {
			t.Fatalf("device %d: %+v, %v", i, out, err)
		}
	}
	fields, err := client.Do(context.Background(), client.B().Hlen().Key(client.Key("user:1")).Build()).AsInt64()
	if err != nil || fields > 140 {
		t.Errorf("after %d devices the record has %d fields, %v", connects, fields, err)
	}
}
