package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/models"
)

const (
	// PresenceBatch is how many changes an event has at most.
	PresenceBatch = 500
	// presenceWait is how long a change waits for others.
	presenceWait = time.Second
	// presenceUsers is how many users of an app may have a change that waits, on one node. It is reached
	// only if the database fails for long; changes of further users are lost then.
	presenceUsers = 100_000
	// presenceTx is how many events one transaction records.
	presenceTx = 10
)

// PresenceChange is an item of the data of an event presence.changed.
type PresenceChange struct {
	UserID   string `json:"userId"`
	Presence string `json:"presence"`
	// CustomStatus is absent if there is none, and after it is erased.
	CustomStatus string `json:"customStatus,omitempty"`
	ChangedAt    string `json:"changedAt"`
	// Version increases with each change of the user's status: it is ChangedAt in milliseconds since
	// 1970.
	Version int64 `json:"version"`
}

// Presence records the changes of statuses on this node as events. Of the changes of a user that wait,
// only the newest is recorded. They wait in memory, so those of a process that is killed are lost.
type Presence struct {
	db       *database.DB
	outbox   *Outbox
	clock    func() time.Time
	log      *slog.Logger
	recorded func(ctx context.Context)
	// wait is presenceWait, and refreshing the time between two reads of the endpoints, except in tests.
	wait, refreshing time.Duration

	// wanting has the apps with an endpoint that receives the changes, by apps.id.
	wanting atomic.Pointer[map[int64]bool]

	mu      sync.Mutex
	waiting map[int64]*waiting // by apps.id
	full    chan struct{}
	// failing reports whether the last attempt to record has failed, and lost whether changes have been
	// lost since.
	failing, lost bool

	stop context.CancelFunc
	done chan struct{}
}

// waiting are the changes of an app that wait.
type waiting struct {
	newest map[int64]models.UserStatus // by users.id
	// order has the users, the one that has waited longest first.
	order []waitingUser
}

type waitingUser struct {
	id    int64
	since time.Time
}

// NewPresence returns a Presence, which does nothing before Start. clock is time.Now outside tests.
// recorded is called when events were recorded.
func NewPresence(db *database.DB, clock func() time.Time, log *slog.Logger, recorded func(ctx context.Context)) *Presence {
	p := &Presence{
		db: db, outbox: New(db), clock: clock, log: log, recorded: recorded, wait: presenceWait, refreshing: Freshness / 2,
		waiting: make(map[int64]*waiting), full: make(chan struct{}, 1),
	}
	p.wanting.Store(&map[int64]bool{})
	return p
}

// Wants reports whether an endpoint of the app receives the changes. It costs next to nothing. It
// follows the endpoints with a delay of up to Freshness.
func (p *Presence) Wants(appID int64) bool { return (*p.wanting.Load())[appID] }

// Note adds a change of a user. It does not block.
func (p *Presence) Note(appID, userID int64, s models.UserStatus) {
	if s.UserID == "" || s.ChangedAt == nil {
		return // a user without a row
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[appID]
	if w == nil {
		w = &waiting{newest: make(map[int64]models.UserStatus)}
		p.waiting[appID] = w
	}
	old, waits := w.newest[userID]
	switch {
	case waits && *old.ChangedAt > *s.ChangedAt:
		return
	case !waits && len(w.order) >= presenceUsers:
		if !p.lost {
			p.lost = true
			p.log.Error("changes of statuses are lost for webhooks; too many wait to be recorded", "app", appID)
		}
		return
	case !waits:
		w.order = append(w.order, waitingUser{userID, time.Now()})
	}
	w.newest[userID] = s
	if len(w.order) >= PresenceBatch && !p.failing {
		select {
		case p.full <- struct{}{}:
		default:
		}
	}
}

// Start reads which apps want changes, and begins to record them. Close ends that.
func (p *Presence) Start(ctx context.Context) error {
	if err := p.refresh(); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop, p.done = stop, make(chan struct{})
	go p.run(running)
	return nil
}

// Close records what waits. The changes that are noted later are lost, and those that cannot be
// recorded before ctx ends.
func (p *Presence) Close(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	p.stop()
	<-p.done
	return p.flush(ctx, true)
}

func (p *Presence) run(ctx context.Context) {
	defer close(p.done)
	refreshing := time.NewTicker(p.refreshing)
	defer refreshing.Stop()
	flushing := time.NewTicker(p.wait / 4)
	defer flushing.Stop()
	warnings := outage.NewLog(p.log)
	for {
		select {
		case <-ctx.Done():
			return
		case <-refreshing.C:
			if err := p.refresh(); err != nil {
				warnings.Warn(ctx, "looking for webhook endpoints that receive statuses failed; retrying", "error", err)
			}
			continue
		case <-flushing.C:
		case <-p.full:
		}
		err := p.flush(ctx, false)
		p.mu.Lock()
		was := p.failing
		p.failing = err != nil && ctx.Err() == nil
		failing := p.failing
		p.lost = p.lost && failing
		p.mu.Unlock()
		if failing && !was {
			p.log.Error("recording changes of statuses for webhooks failed; retrying", "error", err)
		}
		if failing {
			select {
			case <-ctx.Done():
			case <-time.After(p.wait):
			}
		}
	}
}

// refresh reads which apps want changes.
func (p *Presence) refresh() error {
	o := p.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.read(); err != nil {
		return err
	}
	found := make(map[int64]bool)
	for app, a := range o.audiences {
		if a.wantsPresence() {
			found[app] = true
		}
	}
	p.wanting.Store(&found)
	return nil
}

// batch are changes of an app that are recorded together.
type batch struct {
	appID    int64
	users    []waitingUser
	statuses []models.UserStatus
}

// flush records what is due: full events, what has waited for long enough and, with all, the rest.
// What cannot be recorded waits again.
func (p *Presence) flush(ctx context.Context, all bool) error {
	for {
		b := p.take(all)
		if b == nil {
			return nil
		}
		if err := p.record(ctx, b); err != nil {
			p.putBack(b)
			return err
		}
	}
}

// take removes and returns changes that are due, or nil if none are.
func (p *Presence) take(all bool) *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for app, w := range p.waiting {
		n := len(w.order)
		if !all && time.Since(w.order[0].since) < p.wait {
			n = n / PresenceBatch * PresenceBatch
		}
		if n = min(n, presenceTx*PresenceBatch); n == 0 {
			continue
		}
		b := &batch{appID: app, users: slices.Clone(w.order[:n])}
		for _, u := range b.users {
			b.statuses = append(b.statuses, w.newest[u.id])
			delete(w.newest, u.id)
		}
		if w.order = slices.Delete(w.order, 0, n); len(w.order) == 0 {
			delete(p.waiting, app)
		}
		return b
	}
	return nil
}

// putBack makes changes wait again, unless newer ones of their users do.
func (p *Presence) putBack(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[b.appID]
	if w == nil {
		w = &waiting{newest: make(map[int64]models.UserStatus)}
		p.waiting[b.appID] = w
	}
	var before []waitingUser
	for i, u := range b.users {
		if newer, waits := w.newest[u.id]; !waits {
			before = append(before, u)
		} else if *newer.ChangedAt >= *b.statuses[i].ChangedAt {
			continue
		}
		w.newest[u.id] = b.statuses[i]
	}
	w.order = append(before, w.order...)
}

// record records changes for the endpoints of their app that want them, and for its feed.
func (p *Presence) record(ctx context.Context, b *batch) error {
	to, err := p.outbox.of(b.appID)
	if err != nil || !to.wantsPresence() {
		return err
	}
	err = p.db.Tx(ctx, func(tx *gorm.DB) error {
		erasable, err := lockActive(tx, b)
		if err != nil {
			return err
		}
		now := models.TimeOf(p.clock())
		for i := 0; i < len(b.users); i += PresenceBatch {
			changes, personal := b.changes(i, min(i+PresenceBatch, len(b.users)), erasable)
			row, err := newPresenceRow(b.appID, changes, personal, now)
			if err != nil {
				return err
			}
			row.Recipients, row.FeedNumber = recipients(to.endpoints, PresenceChanged), feedNumber(to.presence)
			if err := tx.Create(row).Error; err != nil {
				return fmt.Errorf("recording events: %w", err)
			}
			if err := recordHolders(tx, row, slices.Sorted(maps.Keys(personal))); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		p.recorded(ctx)
	}
	return err
}

// lockActive returns the users in b that have a custom status and are active. It locks their rows, so
// that an erasure finds what is recorded, or is found.
func lockActive(tx *gorm.DB, b *batch) (map[int64]bool, error) {
	var ids []int64
	for i, u := range b.users {
		if b.statuses[i].CustomStatus != "" {
			ids = append(ids, u.id)
		}
	}
	slices.Sort(ids)
	active := make(map[int64]bool)
	for some := range slices.Chunk(ids, chunk) {
		var found []int64
		err := tx.Model(&models.User{}).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("id IN ? AND deactivated_at IS NULL", some).Order("id").Pluck("id", &found).Error
		if err != nil {
			return nil, fmt.Errorf("locking users: %w", err)
		}
		for _, id := range found {
			active[id] = true
		}
	}
	return active, nil
}

// changes returns the items of an event, and the custom statuses of active users by their external IDs.
func (b *batch) changes(from, to int, active map[int64]bool) (list []PresenceChange, personal map[string]string) {
	personal = make(map[string]string)
	for i := from; i < to; i++ {
		s := b.statuses[i]
		list = append(list, PresenceChange{
			UserID: s.UserID, Presence: s.Presence.String(), ChangedAt: s.ChangedAt.String(), Version: int64(*s.ChangedAt),
		})
		if s.CustomStatus != "" && active[b.users[i].id] {
			personal[s.UserID] = s.CustomStatus
		}
	}
	return list, personal
}

func newPresenceRow(appID int64, changes []PresenceChange, personal map[string]string, now models.Time) (*models.Event, error) {
	row, err := NewRow(appID, Event{Type: PresenceChanged, At: now}, now)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(changes)
	if err != nil {
		return nil, fmt.Errorf("writing an event: %w", err)
	}
	row.Data = string(data)
	if len(personal) > 0 {
		data, err := json.Marshal(personal)
		if err != nil {
			return nil, fmt.Errorf("writing an event: %w", err)
		}
		text := string(data)
		row.Personal = &text
	}
	return row, nil
}

// recordHolders records the users that the personal values of an event belong to.
func recordHolders(tx *gorm.DB, event *models.Event, users []string) error {
	var rows []*models.EventUser
	for _, user := range users {
		rows = append(rows, &models.EventUser{EventID: event.ID, AppID: event.AppID, Subject: user, OccurredAt: event.OccurredAt})
	}
	for some := range slices.Chunk(rows, chunk) {
		if err := tx.Create(some).Error; err != nil {
			return fmt.Errorf("recording the users of events: %w", err)
		}
	}
	return nil
}

// erasePresence erases the custom statuses of users in the events that hold them, and the responses to
// these.
func erasePresence(tx *gorm.DB, appID int64, subjects []string) error {
	erased := make(map[int64][]string) // by events.id
	var rows []*models.EventUser
	for some := range slices.Chunk(subjects, chunk) {
		var found []*models.EventUser
		if err := tx.Where("app_id = ? AND subject IN ?", appID, some).Find(&found).Error; err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
		rows = append(rows, found...)
	}
	if len(rows) == 0 {
		return nil
	}
	var ids, keys []int64
	for _, row := range rows {
		if erased[row.EventID] == nil {
			ids = append(ids, row.EventID)
		}
		erased[row.EventID], keys = append(erased[row.EventID], row.Subject), append(keys, row.ID)
	}
	slices.Sort(ids)
	for some := range slices.Chunk(ids, chunk) {
		var events []*models.Event
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Select("id", "personal").
			Where("id IN ? AND personal IS NOT NULL", some).Order("id").Find(&events).Error
		if err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
		for _, e := range events {
			left, err := without(*e.Personal, erased[e.ID])
			if err != nil {
				return err
			}
			if err := tx.Model(e).Update("personal", left).Error; err != nil {
				return fmt.Errorf("erasing events: %w", err)
			}
		}
		if err := tx.Model(&models.Delivery{}).Where("event_id IN ?", some).Update("last_error", nil).Error; err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
	}
	slices.Sort(keys)
	for some := range slices.Chunk(keys, chunk) {
		if err := tx.Where("id IN ?", some).Delete(&models.EventUser{}).Error; err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
	}
	return nil
}

// without returns the personal values of presence.changed without those of some users, or nil if none
// are left.
func without(personal string, users []string) (*string, error) {
	var values map[string]string
	if err := json.Unmarshal([]byte(personal), &values); err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	for _, user := range users {
		delete(values, user)
	}
	if len(values) == 0 {
		return nil, nil
	}
	left, err := json.Marshal(values)
	text := string(left)
	return &text, err
}

// Complete returns the data of an event of that type with its personal values, which may be nil.
func Complete(t Type, data string, personal *string) (json.RawMessage, error) {
	if personal == nil {
		return json.RawMessage(data), nil
	}
	if t == PresenceChanged {
		var changes []PresenceChange
		var values map[string]string
		if err := json.Unmarshal([]byte(data), &changes); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(*personal), &values); err != nil {
			return nil, err
		}
		for i := range changes {
			changes[i].CustomStatus = values[changes[i].UserID]
		}
		return json.Marshal(changes)
	}
	var stored Data
	var values Personal
	if err := json.Unmarshal([]byte(data), &stored); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(*personal), &values); err != nil {
		return nil, err
	}
	return json.Marshal(stored.With(values))
}
