package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/presence/cluster/ledger"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// views holds what this node has received on the topics of a bucket that are watched here. Each user
// and each app is a topic with a channel in Redis. A node subscribes only to the topics that are watched on
// it, so its traffic grows with its own devices and not with the service. Subscribing is batched,
// and costs Redis as much memory as a short key.
type views struct {
	bucket *bucket
	mu     sync.Mutex
	// byTopic has the watched topics, of which the channels of pending are not subscribed yet.
	byTopic map[int64]*view
	pending int
	// baseline is the version just before the channels that are being subscribed.
	baseline int64
	// rowReads holds when a reader here last received the status of a user's row, by users.id, if
	// Redis may have lost the user's record; see noteRowRead.
	rowReads map[int64]time.Time
}

// rowReadLifetime is how long an entry of rowReads is needed: longer than nodes take to write their
// devices again.
const rowReadLifetime = time.Minute

// view is one topic.
type view struct {
	watches int
	// delivered is the version up to which its watchers know everything. A change with a version up to
	// it is late, and dropped.
	delivered int64
	// unsubscribed reports whether its channel is not subscribed yet. since is the version from which it
	// is.
	unsubscribed bool
	since        int64
	// unread reports whether a device of the user was added here before the channel was
	// subscribed, so that the record must be read as soon as it is.
	unread bool
	// record is the latest record of a user, received or read, and lastOnline the latest that was
	// ONLINE; nil if there is none.
	record, lastOnline *status.Record
}

func (v *views) init(b *bucket) {
	v.bucket, v.byTopic, v.rowReads = b, make(map[int64]*view), make(map[int64]time.Time)
}

func (v *views) follow(topic int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.byTopic[topic]
	if w == nil {
		seen := v.bucket.version.Load()
		w = &view{unsubscribed: true, delivered: seen, since: seen}
		v.byTopic[topic] = w
		v.pending++
		v.bucket.feed.Subscribe(v.channel(topic))
	}
	w.watches++
}

func (v *views) unfollow(topic int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.byTopic[topic]
	if w.watches--; w.watches == 0 {
		delete(v.byTopic, topic)
		if w.unsubscribed {
			v.pending--
		}
		v.bucket.feed.Unsubscribe(v.channel(topic))
	}
}

func (v *views) channel(topic int64) string {
	if topic < 0 {
		return v.bucket.ledger.AppChannel(-topic)
	}
	return v.bucket.ledger.UserChannel(topic)
}

// topicOf returns the topic of a channel, or 0 if the name belongs to no topic.
func (v *views) topicOf(channel string) int64 {
	name, app := strings.CutPrefix(channel, v.bucket.Redis.Key("app:"))
	if !app {
		name, _ = strings.CutPrefix(channel, v.bucket.Redis.Key("user:"))
	}
	id, err := strconv.ParseInt(name, 10, 64)
	switch {
	case err != nil:
		return 0
	case app:
		return status.AppKey(id)
	}
	return status.UserKey(id)
}

// before notes the version from which the channels that are about to be subscribed deliver changes.
func (v *views) before(ctx context.Context) error {
	version, err := v.bucket.ledger.Version(ctx)
	if err != nil {
		return err
	}
	v.bucket.observe(version)
	v.mu.Lock()
	v.baseline = version
	v.mu.Unlock()
	return nil
}

// after notes that these channels are subscribed.
func (v *views) after(channels []string) {
	var unread []int64
	v.mu.Lock()
	for _, channel := range channels {
		topic := v.topicOf(channel)
		if w := v.byTopic[topic]; w != nil && w.unsubscribed {
			w.unsubscribed = false
			v.pending--
			w.since = max(w.since, v.baseline)
			w.delivered = max(w.delivered, w.since)
			if w.unread {
				w.unread = false
				unread = append(unread, topic)
			}
		}
	}
	v.mu.Unlock()
	v.read(unread)
}

// isPending reports whether channels of watched topics are not subscribed yet.
func (v *views) isPending() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pending > 0
}

// isUnsubscribed reports whether the channel of a watched topic is not subscribed yet.
func (v *views) isUnsubscribed(topic int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.byTopic[topic]
	return w != nil && w.unsubscribed
}

// readOnceSubscribed reads the user's record as soon as its channel is subscribed, which may be now.
func (v *views) readOnceSubscribed(userID int64) {
	v.mu.Lock()
	w := v.byTopic[status.UserKey(userID)]
	later := w == nil || w.unsubscribed
	if w != nil {
		w.unread = later
	}
	v.mu.Unlock()
	if !later {
		v.read([]int64{userID})
	}
}

// read reads users' records and publishes them to the users' watchers. If it fails, the connection
// is lost, and readMissed reads them when it is back.
func (v *views) read(userIDs []int64) {
	if len(userIDs) == 0 {
		return
	}
	records, err := v.bucket.records(context.Background(), userIDs)
	if err != nil {
		v.bucket.Log.Warn("reading statuses set before their Redis channels were subscribed failed", "error", err)
		return
	}
	for _, r := range records {
		if r != nil {
			v.learn(r)
			v.bucket.publish(status.UserKey(r.ID), r)
		}
	}
}

// learn notes an account's record that was read, without publishing it.
func (v *views) learn(r *status.Record) {
	v.bucket.observe(r.Version)
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.byTopic[status.UserKey(r.ID)]; w != nil {
		w.keep(r)
	}
}

// keep notes a user's record unless a newer one is known.
func (w *view) keep(r *status.Record) {
	if w.record == nil || w.record.Version < r.Version {
		w.record = r
	}
	if r.Presence == models.PresenceOnline && (w.lastOnline == nil || w.lastOnline.Version < r.Version) {
		w.lastOnline = r
	}
}

// known returns the latest record of a user, with the custom status of the latest one that was
// ONLINE, or the zero Record if none is known.
func (v *views) known(userID int64) (known status.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.byTopic[status.UserKey(userID)]; w != nil && w.record != nil {
		known = *w.record
		if w.lastOnline != nil {
			known.Custom, known.CustomSince = w.lastOnline.Custom, w.lastOnline.CustomSince
		}
	}
	return known
}

// noteRowRead notes that a reader here received the status of a user's row because Redis had no
// record. If the user is known to be ONLINE, Redis has lost the record, and the reader must receive
// the status again when the record is written again.
func (v *views) noteRowRead(acc status.Account) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.byTopic[status.UserKey(acc.ID)]
	if acc.Presence != models.PresenceOnline && (w == nil || w.record == nil || w.record.Presence != models.PresenceOnline) {
		return
	}
	now := time.Now()
	for id, at := range v.rowReads {
		if now.Sub(at) > rowReadLifetime {
			delete(v.rowReads, id)
		}
	}
	v.rowReads[acc.ID] = now
}

// accept notes that a change is published to a topic's watchers. It reports false if they know it
// or a newer one, or if there are none. They know the content of a record that was written again
// after Redis had lost it, unless a reader here received the status of the row in between.
func (v *views) accept(topic int64, r *status.Record) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.byTopic[topic]
	if w == nil || r.Version <= w.delivered {
		return false
	}
	_, rowRead := v.rowReads[r.ID]
	known := !rowRead && r.Content < r.Version && r.Content <= w.delivered && (w.record == nil || w.record.Content == r.Content)
	w.delivered = r.Version
	if topic > 0 {
		w.keep(r)
	}
	return !known
}

// mark returns the version up to which a watcher that joins the topic now has received nothing on
// it. 0 stands for the version from which the topic's channel will be subscribed.
func (v *views) mark(topic int64) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.byTopic[topic]; w != nil && !w.unsubscribed {
		return w.delivered
	}
	return 0
}

// bounds returns a topic's since and delivered.
func (v *views) bounds(topic int64) (since, delivered int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.byTopic[topic]; w != nil {
		return w.since, w.delivered
	}
	return 0, 0
}

// deliveredOf returns the watched users and apps by their IDs, each with the version up to which its
// watchers know everything.
func (v *views) deliveredOf() (users, apps map[int64]int64) {
	users, apps = make(map[int64]int64), make(map[int64]int64)
	v.mu.Lock()
	defer v.mu.Unlock()
	for topic, w := range v.byTopic {
		if topic > 0 {
			users[topic] = w.delivered
		} else {
			apps[-topic] = w.delivered
		}
	}
	return users, apps
}

// receiveMessage handles a message from Redis.
func (b *bucket) receiveMessage(channel, text string) {
	if b.views.topicOf(channel) == 0 {
		cut, err := ledger.ParseCut(text)
		if err != nil {
			b.Log.Error("malformed message from Redis", "channel", channel, "error", err)
			return
		}
		b.cutHere(cut.UserID, cut.Devices, decodeCause(cut.Reason), cut.Revoked)
		return
	}
	r, err := ledger.Parse(text)
	if err != nil {
		b.Log.Error("malformed message from Redis", "channel", channel, "error", err)
		return
	}
	b.observe(r.Version)
	b.publish(b.views.topicOf(channel), r)
}

// publish publishes a change to a topic's watchers, unless they know it already.
func (b *bucket) publish(topic int64, r *status.Record) {
	q := b.Board.Queue(r.ID)
	q.Lock()
	defer q.Unlock()
	if b.views.accept(topic, r) {
		status := r.Status()
		q.Publish(fanout.NewAt(r.Version, r.ID, &status), topic, 0)
	}
}

// readMissed reads and publishes the changes that were missed while the connection was lost.
func (b *bucket) readMissed(ctx context.Context) error {
	b.lease.reconnect()
	b.repair.ask()
	users, apps := b.views.deliveredOf()
	ids := make([]int64, 0, len(users))
	for id := range users {
		ids = append(ids, id)
	}
	records, err := b.records(ctx, ids)
	if err != nil {
		return err
	}
	absent := make(map[int64]int64)
	for i, r := range records {
		if r == nil {
			absent[ids[i]] = users[ids[i]]
			continue
		}
		b.observe(r.Version)
		b.publish(status.UserKey(r.ID), r)
	}
	b.repair.examineAbsent(absent)
	for app, delivered := range apps {
		for {
			changed, last, err := b.ledger.Changes(ctx, app, delivered)
			if err != nil {
				return b.failed(err)
			}
			if last == 0 {
				break
			}
			for _, r := range changed {
				b.publish(status.AppKey(app), r)
			}
			delivered = last
		}
	}
	return nil
}

// catchUp sends the watcher what it has missed in the gap. r is the user's record, or nil, and row the
// user's row if it may have changed.
func (b *bucket) catchUp(w *fanout.Watcher, g status.Gap, r *status.Record, row *models.User) {
	present := r
	if r == nil && row != nil {
		now := status.RecordOf(status.AccountOf(row))
		now.Version = g.Since + 1
		present = &now
	}
	if present != nil && present.Version > g.Since {
		b.publishTo(w, g, present)
	}
	if r != nil {
		// The change may be from between the version that before noted and the subscription, and is
		// then on no channel. If it is under way to this node, it counts as late from now on.
		b.publish(status.UserKey(g.UserID), r)
	}
}

// publishTo sends one watcher the change that it has missed, unless it receives that one or a newer
// one with the topic.
func (b *bucket) publishTo(w *fanout.Watcher, g status.Gap, r *status.Record) {
	q := b.Board.Queue(r.ID)
	q.Lock()
	defer q.Unlock()
	since, delivered := b.views.bounds(status.UserKey(g.UserID))
	if g.Until == 0 {
		g.Until = since
	}
	if r.Version <= g.Until && delivered <= g.Until {
		status := r.Status()
		q.Send(w, fanout.NewAt(r.Version, r.ID, &status))
	}
}
