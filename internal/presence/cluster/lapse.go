package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/once"
	"rollcall/internal/page"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

const (
	// lapseGathering is how long a search for users that are ONLINE only in the database waits for other
	// buckets: those of one server are due within one renewal, and the search reads the rows of all
	// buckets.
	lapseGathering = leaseRenewal
	// lapseTurn is the time between two looks at whether another node has made the search.
	lapseTurn = 500 * time.Millisecond
)

// lapses are the buckets for which users must be looked for that are ONLINE only in the database. One
// goroutine of one node at a time does it, for all nodes and all buckets that need it.
type lapses struct {
	work *once.Work
	// key is a hash in Redis with the last search that succeeded in each bucket, "BORN NUMBER": the data
	// and the number of the run.
	key string

	mu      sync.Mutex
	due     map[*bucket]lapse
	pending int // how many the goroutine has taken and not finished
	wake    chan struct{}
}

// lapse is a search that a bucket needs.
type lapse struct {
	// born is the data in Redis that the search refers to.
	born int64
	// since is the last run that is not late enough, or -1 if no run that has begun so far is. No search
	// of this data was too early for the nodes to have written their devices.
	since int64
}

func (l *lapses) init(client *redis.Client) {
	l.work, l.key = once.New(client, "lapse"), client.Key("lapsed")
	l.due, l.wake = make(map[*bucket]lapse), make(chan struct{}, 1)
}

// take moves what is due to pending.
func (l *lapses) take(pending map[*bucket]lapse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(pending, l.due)
	clear(l.due)
	l.pending = len(pending)
}

// finish notes how many buckets are still pending.
func (l *lapses) finish(pending int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = pending
}

// open reports whether a search is due.
func (l *lapses) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending > 0 || len(l.due) > 0
}

// lapseWhenDue requests a search for users that are ONLINE only in the database, if that is due. It
// returns how long to wait if it is not due yet.
func (b *bucket) lapseWhenDue() (pause time.Duration) {
	r := &b.repair
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lapse.IsZero() {
		return 0
	}
	if pause = time.Until(r.lapse); pause > 0 {
		return pause
	}
	l := &b.registry.lapses
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := lapse{born: r.born}
	if r.entered {
		wanted.since = -1
	}
	l.due[b] = wanted
	r.lapse, r.entered = time.Time{}, false
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return 0
}

// lapseWhenAsked searches, or waits for other nodes' searches, until closing ends.
func (s *Registry) lapseWhenAsked(closing context.Context) {
	l := &s.lapses
	pending := make(map[*bucket]lapse)
	var later <-chan time.Time
	for {
		select {
		case <-l.wake:
			if len(s.buckets) > 1 {
				select {
				case <-time.After(lapseGathering):
				case <-closing.Done():
					return
				}
			}
		case <-later:
		case <-closing.Done():
			return
		}
		l.take(pending)
		if err := s.lapsePending(closing, pending); err != nil && closing.Err() == nil {
			for b := range pending {
				b.repairFailed(closing, err)
				break
			}
		}
		l.finish(len(pending))
		later = nil
		if len(pending) > 0 {
			later = time.After(lapseTurn)
		}
	}
}

// lapsePending searches in the pending buckets unless another node searches, and removes those from
// pending in which a search has succeeded, here or there.
func (s *Registry) lapsePending(ctx context.Context, pending map[*bucket]lapse) error {
	l := &s.lapses
	begun := int64(-1)
	for b, wanted := range pending {
		if wanted.since >= 0 {
			continue
		}
		if begun < 0 {
			var err error
			if begun, err = l.work.Begun(ctx); err != nil {
				return s.failed(err)
			}
		}
		pending[b] = lapse{wanted.born, begun}
	}
	if err := s.forgetLapsed(ctx, pending); err != nil || len(pending) == 0 {
		return err
	}
	_, err := l.work.Try(ctx, func(ctx context.Context) error {
		number, err := l.work.Begun(ctx) // of this run, the last one
		if err != nil {
			return s.failed(err)
		}
		// The other node may have finished since.
		if err := s.forgetLapsed(ctx, pending); err != nil || len(pending) == 0 {
			return err
		}
		failed := s.lapseAll(ctx, pending)
		mark := s.Redis.B().Hset().Key(l.key).FieldValue()
		found := false
		for i, b := range s.buckets {
			if wanted, searched := pending[b]; searched && failed[b] == nil {
				mark, found = mark.FieldValue(strconv.Itoa(i), fmt.Sprint(wanted.born, " ", number)), true
				delete(pending, b)
			}
		}
		if !found || ctx.Err() != nil {
			return ctx.Err()
		}
		limited, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
		defer cancel()
		if err := s.Redis.Do(limited, mark.Build()).Error(); err != nil { // other nodes search again
			return fmt.Errorf("noting a search for users without devices: %w", err)
		}
		return nil
	})
	return err
}

// forgetLapsed removes the buckets from pending in which a search has succeeded that is late enough, or
// whose data is no longer in Redis, so that another search will follow.
func (s *Registry) forgetLapsed(ctx context.Context, pending map[*bucket]lapse) error {
	limited, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	marks, err := s.Redis.Do(limited, s.Redis.B().Hgetall().Key(s.lapses.key).Build()).AsStrMap()
	if err != nil {
		return s.failed(fmt.Errorf("reading where users without devices were looked for: %w", err))
	}
	for i, b := range s.buckets {
		wanted, is := pending[b]
		if !is {
			continue
		}
		var born, number int64
		_, _ = fmt.Sscan(marks[strconv.Itoa(i)], &born, &number) // 0 without a mark
		if born == wanted.born && number > wanted.since || wanted.born != b.repair.data() {
			delete(pending, b)
		}
	}
	return nil
}

// lapseAll sets users to OFFLINE that are ONLINE in the database and have no device at any node.
// They were left by a service that was killed, or by a node whose devices Redis has lost. It returns,
// and logs, the errors of the buckets in which it could not do so.
func (s *Registry) lapseAll(ctx context.Context, due map[*bucket]lapse) (failed map[*bucket]error) {
	failed = make(map[*bucket]error)
	err := s.eachOnline(ctx, func(rows []models.User) {
		parts := make(map[*bucket][]models.User)
		for _, row := range rows {
			b := s.bucketOf(row.ID)
			parts[b] = append(parts[b], row)
		}
		for b, part := range parts {
			if l, wanted := due[b]; wanted && failed[b] == nil {
				if err := b.lapseSome(ctx, l.born, part); err != nil {
					failed[b] = err
				}
			}
		}
	})
	if err != nil {
		for b := range due {
			failed[b] = err
		}
	}
	if ctx.Err() == nil {
		for b, err := range failed {
			b.repairFailed(ctx, err)
		}
	}
	return failed
}

// eachOnline calls do with all rows of users that are ONLINE in the database, some at a time, with a
// pause after each of these pages. It reads them by an index, in its order.
func (s *Registry) eachOnline(ctx context.Context, do func(rows []models.User)) error {
	apps, err := gorm.G[models.App](s.DB.Read(ctx)).Select("id").Find(ctx)
	if err != nil {
		return fmt.Errorf("reading apps: %w", err)
	}
	order := page.Order{At: "created_at", ID: "id", OldestFirst: true}
	for _, app := range apps {
		for last := new(page.Key); ; {
			began := time.Now()
			query := s.DB.Read(ctx).Table(s.DB.Using("users", "users_app_presence")).
				Select("id", "app_id", "external_id", "created_at", "presence_at").
				Where("app_id = ? AND presence = ?", app.ID, models.PresenceOnline)
			var rows []models.User
			if err := order.Read(query, last, mirror.RestartChunk).Find(&rows).Error; err != nil {
				return fmt.Errorf("reading the ONLINE users: %w", err)
			}
			do(rows)
			if len(rows) < mirror.RestartChunk {
				break
			}
			last = &page.Key{At: rows[len(rows)-1].CreatedAt, ID: rows[len(rows)-1].ID}
			if err := once.Pause(ctx, began); err != nil {
				return err
			}
		}
	}
	return nil
}

// lapseSome does so for the users of these rows, which are in the bucket, and waits until the database
// has it: this node may be the only one that searches.
func (b *bucket) lapseSome(ctx context.Context, born int64, rows []models.User) error {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	records, err := b.records(ctx, ids)
	if err != nil {
		return err
	}
	var writes []*mirror.Write
	for i, record := range records {
		if record != nil && record.Presence == models.PresenceOnline {
			continue
		}
		write, err := b.lapse(ctx, born, &rows[i])
		if err != nil {
			return err
		}
		if write != nil {
			writes = append(writes, write)
		}
	}
	for _, write := range writes {
		if err := write.Wait(ctx); err != nil {
			return fmt.Errorf("writing that users are OFFLINE: %w", err)
		}
	}
	return nil
}

// lapse sets a user to OFFLINE whose row holds ONLINE, unless it has a device at any node; write is then
// nil.
func (b *bucket) lapse(ctx context.Context, born int64, row *models.User) (write *mirror.Write, err error) {
	record, err := b.ledger.Lapse(ctx, born, status.AccountOf(row).Disconnected(), b.Now())
	if err != nil {
		return nil, b.failed(err)
	}
	if record == nil {
		return nil, nil
	}
	b.noteTransition(record)
	return b.mirror.Keep(record.ID, record.State), nil
}

// examineWhenDue examines some users that Redis did not know, if that is due. It returns how long to
// wait if it is not due yet or there are more. It pauses after each page as long as that took.
func (b *bucket) examineWhenDue(ctx context.Context) (pause time.Duration, err error) {
	r := &b.repair
	r.mu.Lock()
	born := r.born
	due := time.UnixMicro(born).Add(rewriteTime)
	if due.Before(r.examine) {
		due = r.examine
	}
	pause = time.Until(due)
	if len(r.absent) == 0 || pause > 0 {
		defer r.mu.Unlock()
		if len(r.absent) == 0 {
			return 0, nil
		}
		return pause, nil
	}
	some := make(map[int64]int64)
	for id, version := range r.absent {
		if len(some) == loadChunk {
			break
		}
		some[id] = version
		delete(r.absent, id)
	}
	more := len(r.absent) > 0
	r.mu.Unlock()
	began := time.Now()
	if err := b.examine(ctx, born, some); err != nil {
		r.update(func() {
			maps.Copy(some, r.absent) // what was added since is newer
			r.absent = some
		})
		return 0, err
	}
	if !more {
		return 0, nil
	}
	return max(time.Since(began), time.Millisecond), nil
}

// examine publishes the database's statuses of users that Redis still does not know, if they are newer
// than what the watchers here received. Users that are ONLINE there have no device, and go OFFLINE.
func (b *bucket) examine(ctx context.Context, born int64, absent map[int64]int64) error {
	ids := slices.Collect(maps.Keys(absent))
	rows, err := gorm.G[models.User](b.DB.Read(ctx)).
		Select("id", "app_id", "external_id", "presence", "presence_at").Where("id IN ?", ids).Find(ctx)
	if err != nil {
		return fmt.Errorf("reading the statuses of %d users: %w", len(ids), err)
	}
	// They are read after the rows: of a user that another node has set to OFFLINE before the row was
	// read, Redis has a record.
	records, err := b.records(ctx, ids)
	if err != nil {
		return err
	}
	known := make(map[int64]bool, len(records))
	for _, record := range records {
		if record != nil {
			known[record.ID] = true
		}
	}
	for i := range rows {
		row := status.RecordOf(status.AccountOf(&rows[i]))
		switch {
		case known[row.ID]:
		case rows[i].Presence == models.PresenceOnline:
			if _, err := b.lapse(ctx, born, &rows[i]); err != nil {
				return err
			}
		case int64(row.Since)*1000 > absent[row.ID]: // versions are times in microseconds
			row.Version = absent[row.ID] + 1
			b.publish(status.UserKey(row.ID), &row)
		}
	}
	return nil
}
