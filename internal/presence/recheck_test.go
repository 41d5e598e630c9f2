package presence

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// revoke revokes a user's access only in the database.
func (w *world) revoke(user int, reason bus.Reason) {
	w.t.Helper()
	var err error
	switch id := w.users[user].ID; reason {
	case bus.ReasonBanned:
		err = exec(w.db, "UPDATE users SET banned_at = 1, banned_until = ? WHERE id = ?", models.TimeOf(w.clock.Now().Add(time.Hour)), id)
	case bus.ReasonDeactivated:
		err = exec(w.db, "UPDATE users SET deactivated_at = 1 WHERE id = ?", id)
	case bus.ReasonDeleted:
		err = exec(w.db, "DELETE FROM users WHERE id = ?", id)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// signOut signs a user out everywhere, only in the database.
func (w *world) signOut(user int) {
	w.t.Helper()
	if err := exec(w.db, "UPDATE users SET device_generation = device_generation + 1 WHERE id = ?", w.users[user].ID); err != nil {
		w.t.Fatal(err)
	}
}

// linkTo starts two nodes. The test can cut the first one's connection to Redis.
func linkTo(t *testing.T, db *database.DB, users int) (n nodes, way *testenv.Proxy) {
	testenv.NeedSingleRedis(t)
	url := testenv.RedisURL(t)
	way = testenv.NewProxy(t, url[len("redis://"):])
	return newNodesAt(t, db, testenv.Service(), []string{"redis://" + way.Address(), url}, users), way
}

// A node without a connection to Redis detects by itself that access was revoked elsewhere.
func TestRevoked_DevicesAtNodeWithoutLink(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		n, way := linkTo(t, db, 4)
		without, other := n[0], n[1]
		reasons := []bus.Reason{bus.ReasonBanned, bus.ReasonDeactivated, bus.ReasonDeleted}
		links := make([]*link, 4)
		for i := range links {
			_, links[i] = without.connect(i)
		}
		way.Cut()
		for i, reason := range reasons {
			row := other.row(i)
			other.revoke(i, reason)
			other.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: row, Reason: reason})
		}
		began := time.Now()
		for i, reason := range reasons {
			links[i].wants(without, revocations[reason])
		}
		t.Logf("cut after %s", time.Since(began))
		links[3].want(t)
		way.Heal()
	})
}

// A node with a connection to Redis detects that a node without one has revoked access.
func TestRevoked_ByNodeWithoutLink(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		n, way := linkTo(t, db, 3)
		without, other := n[0], n[1]
		_, cut := other.connect(0)
		_, stays := other.connect(1)
		way.Cut()
		without.revoke(0, bus.ReasonBanned)
		_, before := other.connect(2)
		without.signOut(2)
		_, after := other.connect(2)
		other.named(bus.RevokedUser{AppID: other.app.ID, ExternalID: other.users[0].ExternalID},
			bus.RevokedUser{AppID: other.app.ID, ExternalID: other.users[2].ExternalID},
			bus.RevokedUser{AppID: other.app.ID + 1, ExternalID: other.users[1].ExternalID})
		began := time.Now()
		without.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: without.users[0], Reason: bus.ReasonBanned})
		cut.wants(other, status.ReasonBanned)
		before.wants(other, status.ReasonDisconnected)
		t.Logf("cut after %s", time.Since(began))
		stays.want(t)
		after.want(t)
		other.eventually(func() bool { return len(other.Devices(other.users[2].ID)) == 1 }, "the device to leave Redis")
		way.Heal()
	})
}

// A sign-out closes the devices from before it while no node has a connection to Redis, and no others.
func TestSignedOut_WhileRedisIsAway(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		r := newRemoteNodes(t, db, 2, 5)
		a, b := r.nodes[0], r.nodes[1]
		o := newOutage(t, r.nodes)
		links := make([]*link, 5)
		devices := make([]*status.Device, 5)
		for i, node := range []*world{a, b, a, b} {
			devices[i+1], links[i+1] = node.connect(i + 1)
		}
		o.told(2, models.PresenceOnline)
		o.told(3, models.PresenceOnline)
		r.server.Stop()
		began := time.Now()
		b.signOut(2)
		b.signOut(3)
		// Ending tokens leaves devices connected.
		if err := exec(db, "UPDATE users SET tokens_valid_from = ? WHERE id = ?", models.TimeOf(a.clock.Now()), a.users[4].ID); err != nil {
			t.Fatal(err)
		}
		links[2].wants(a, status.ReasonDisconnected)
		links[3].wants(b, status.ReasonDisconnected)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("closed after %s", took)
		}
		links[1].want(t)
		links[4].want(t)
		r.back(t)
		o.told(2, models.PresenceOffline)
		o.told(3, models.PresenceOffline)
		devices[2].Gone()
		devices[3].Gone()
		_, after := b.connect(2)
		o.told(2, models.PresenceOnline)
		after.want(t)
		links[1].want(t)
		links[4].want(t)
	})
}

// If a node without a connection to Redis revokes many users at once, none waits for the time-outs
// of the others.
func TestRevoked_ManyWithoutLink(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		const users = 40
		n, way := linkTo(t, db, users)
		without := n[0]
		links := make([]*link, users)
		for i := range links {
			_, links[i] = without.connect(i)
		}
		way.Cut()
		began := time.Now()
		for i := range links {
			without.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: without.users[i], Reason: bus.ReasonBanned})
			links[i].want(t, status.ReasonBanned)
		}
		// One time-out of Redis for each user would be two minutes.
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%d users' devices were cut after %s", users, took)
		} else {
			t.Logf("cut after %s", took)
		}
		way.Heal()
	})
}
