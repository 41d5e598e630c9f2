// Package outbox records events for App Servers in the transactions of the changes, so that neither
// is committed without the other. internal/webhooks delivers them.
//
// Events are recorded only for apps with an enabled endpoint that has chosen their type, or with a
// feed, which has all types that Write is given. So that other changes need no query for that, the
// enabled endpoints and the feeds of all apps are read at most once in Freshness, outside the
// transaction, and used for that long. The creation of an endpoint or of a feed returns only after
// Freshness has passed since its commit (see AwaitFresh). A change that begins after the
// creation has returned is therefore recorded, on every node and whatever the clocks; of those that
// run during the creation, some are recorded and others are not.
//
// Events of a user have increasing versions, because the caller has locked the user's row.
package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/models"
)

// Freshness is how long the endpoints that were read are used.
const Freshness = time.Second

// chunk is how many events or users one statement names at most. A change can have hundreds of
// thousands of events, if a user with many friends is erased, and databases limit the values of a
// statement.
const chunk = 500

// MaxEndpoints is how many endpoints an app may have.
const MaxEndpoints = 20

// AwaitFresh returns when all nodes use the endpoints that are committed now, or with ctx's error.
func AwaitFresh(ctx context.Context) error {
	timer := time.NewTimer(Freshness)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Outbox records events.
type Outbox struct {
	enabled *database.Query

	mu sync.Mutex
	// endpoints are the enabled endpoints by apps.id, as they were at readAt or later.
	endpoints map[int64][]endpoint
	// feeds has the apps with a feed, which has all events that Write is given.
	feeds  map[int64]bool
	readAt time.Time
}

// endpoint is an enabled endpoint.
type endpoint struct {
	id int64
	// types are the types that it receives, or nil for all except PresenceChanged.
	types []Type
}

// New returns an Outbox that writes to db.
func New(db *database.DB) *Outbox {
	// The row of a feed has no endpoint.
	return &Outbox{enabled: db.NewQuery("SELECT id, app_id, event_types FROM " +
		db.Using("webhook_endpoints", "webhook_endpoints_state") + " WHERE state = 'ENABLED' UNION ALL SELECT 0, id, '' FROM " +
		db.Using("apps", "apps_event_feed") + " WHERE event_feed_enabled = TRUE")}
}

// of returns the enabled endpoints of an app, and reports whether it has a feed.
func (o *Outbox) of(appID int64) (list []endpoint, feed bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// The clock of the process: that of the rules may be set by a test, or by an administrator.
	if o.endpoints != nil && time.Since(o.readAt) < Freshness {
		return o.endpoints[appID], o.feeds[appID], nil
	}
	if err := o.read(); err != nil {
		return nil, false, err
	}
	return o.endpoints[appID], o.feeds[appID], nil
}

// read reads the enabled endpoints and the feeds. The caller holds o.mu.
func (o *Outbox) read() error {
	readAt := time.Now()
	found, feeds := make(map[int64][]endpoint), make(map[int64]bool)
	var id, app int64
	var types string
	err := o.enabled.Each(nil, []any{&id, &app, &types}, func() {
		if id == 0 {
			feeds[app] = true
			return
		}
		found[app] = append(found[app], endpoint{id, ParseTypes(types)})
	})
	if err != nil {
		return fmt.Errorf("reading webhook endpoints: %w", err)
	}
	for _, list := range found {
		// The order in which all transactions write deliveries.
		slices.SortFunc(list, func(a, b endpoint) int { return cmp.Compare(a.id, b.id) })
	}
	o.endpoints, o.feeds, o.readAt = found, feeds, readAt
	return nil
}

// ParseTypes returns the types in models.WebhookEndpoint.EventTypes, or nil for all except
// PresenceChanged.
func ParseTypes(text string) []Type {
	if text == "" {
		return nil
	}
	var list []Type
	for one := range strings.SplitSeq(text, ",") {
		list = append(list, Type(one))
	}
	return list
}

// wants reports whether the endpoint receives the type.
func (e endpoint) wants(t Type) bool {
	if e.types == nil {
		return t != PresenceChanged
	}
	return slices.Contains(e.types, t)
}

// Write records events of an app's users in tx, which has locked their rows. It calls make only if
// the app has an enabled endpoint or a feed. recorded reports whether an event was recorded for an
// endpoint: the caller must then publish bus.EventsRecorded after the commit.
func (o *Outbox) Write(tx *gorm.DB, appID int64, make func() ([]Event, error)) (recorded bool, err error) {
	endpoints, feed, err := o.of(appID)
	if err != nil || len(endpoints) == 0 && !feed {
		return false, err
	}
	events, err := make()
	if err != nil {
		return false, err
	}
	events = slices.DeleteFunc(events, func(e Event) bool {
		return !feed && !slices.ContainsFunc(endpoints, func(to endpoint) bool { return to.wants(e.Type) })
	})
	if len(events) == 0 {
		return false, nil
	}
	rows, err := newRows(tx, appID, events)
	if err != nil {
		return false, err
	}
	if feed {
		for _, row := range rows {
			row.FeedNumber = new(int64)
		}
	}
	for some := range slices.Chunk(rows, chunk) {
		if err := tx.Create(some).Error; err != nil {
			return false, fmt.Errorf("recording events: %w", err)
		}
	}
	for _, to := range endpoints {
		var uids []string
		for _, row := range rows {
			if to.wants(Type(row.Type)) {
				uids = append(uids, row.UID)
			}
		}
		if err := Deliver(tx, to.id, uids); err != nil {
			return false, err
		}
		recorded = recorded || len(uids) > 0
	}
	return recorded, nil
}

// Deliver adds the deliveries of events in tx, by their UIDs, to an endpoint.
func Deliver(tx *gorm.DB, endpointID int64, uids []string) error {
	for some := range slices.Chunk(uids, chunk) {
		// The keys of the rows are not known here: in a cluster, those of one INSERT need not be
		// consecutive. The version as the time of the first attempt keeps the order of a user's events.
		err := tx.Exec(`INSERT INTO deliveries (endpoint_id, event_id, state, next_attempt_at)
			SELECT ?, id, ?, version FROM events WHERE uid IN ? ORDER BY id`, endpointID, models.DeliveryPending, some).Error
		if err != nil {
			return fmt.Errorf("recording deliveries: %w", err)
		}
	}
	return nil
}

// newRows returns the rows of events, with the next versions of their users.
func newRows(tx *gorm.DB, appID int64, events []Event) ([]*models.Event, error) {
	var subjects []string
	for _, e := range events {
		subjects = append(subjects, e.Subject)
	}
	slices.Sort(subjects)
	versions := make(map[string]models.Time)
	for some := range slices.Chunk(slices.Compact(subjects), chunk) {
		var last []struct {
			Subject string
			Version models.Time
		}
		err := tx.Model(&models.Event{}).Select("subject, MAX(version) AS version").
			Where("app_id = ? AND subject IN ?", appID, some).Group("subject").Find(&last).Error
		if err != nil {
			return nil, fmt.Errorf("reading versions of events: %w", err)
		}
		for _, l := range last {
			versions[l.Subject] = l.Version
		}
	}
	var err error
	rows := make([]*models.Event, len(events))
	for i, e := range events {
		// Clocks may have been set back, and those of nodes differ.
		version := max(e.At, versions[e.Subject]+1)
		versions[e.Subject] = version
		if rows[i], err = NewRow(appID, e, version); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// NewRow returns the row of an event, with a new UID.
func NewRow(appID int64, e Event, version models.Time) (*models.Event, error) {
	if e.Subject != "" {
		e.Data.User.ID, e.Data.User.Version = e.Subject, int64(version)
	}
	uid, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making the ID of an event: %w", err)
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("writing an event: %w", err)
	}
	row := &models.Event{
		UID: uid.String(), AppID: appID, Type: string(e.Type), Subject: e.Subject, Version: version, OccurredAt: e.At, Data: string(data),
	}
	if e.Personal != (Personal{}) {
		personal, err := json.Marshal(e.Personal)
		if err != nil {
			return nil, fmt.Errorf("writing an event: %w", err)
		}
		text := string(personal)
		row.Personal = &text
	}
	return row, nil
}

// Erase erases the personal values in the recorded events of an app's users in tx, delivered or
// not, and the responses to them, which may repeat the values.
func Erase(tx *gorm.DB, appID int64, subjects []string) error {
	var ids []int64
	err := tx.Model(&models.Event{}).Where("app_id = ? AND subject IN ? AND personal IS NOT NULL", appID, subjects).
		Order("id").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("erasing events: %w", err)
	}
	for some := range slices.Chunk(ids, chunk) {
		if err := tx.Model(&models.Event{}).Where("id IN ?", some).Update("personal", nil).Error; err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
		if err := tx.Model(&models.Delivery{}).Where("event_id IN ?", some).Update("last_error", nil).Error; err != nil {
			return fmt.Errorf("erasing events: %w", err)
		}
	}
	return erasePresence(tx, appID, subjects)
}
