// Package outbox records events for App Servers in the transactions of the changes, so that neither
// is committed without the other. internal/webhooks delivers them.
//
// A change waits for two statements more, however many endpoints the app has: the events name their
// recipients, and their deliveries are made after the commit, those of many changes together.
//
// Events are recorded only for apps with an enabled endpoint that has chosen their type, or with a
// feed, which has all types that Write is given. So that other changes need no query for that, the
// enabled endpoints and the feeds of all apps are read at most once in Freshness, outside the
// transaction, and used for that long. The creation of an endpoint or of a feed returns only after
// Freshness has passed since its commit (see AwaitFresh). A change that begins after the
// creation has returned is therefore recorded, on every node and whatever the clocks; of those that
// run during the creation, some are recorded and others are not.
//
// Events of a user have increasing versions, because the caller has locked the user's row; so do those
// of an app.
package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/tracing"
	"rollcall/models"
)

// Freshness is how long the endpoints that were read are used.
const Freshness = time.Second

// chunk is how many rows one statement names at most, because databases limit its values.
const chunk = 500

// sizes is how many sizes the prepared statements have: for 1, 2, 4 … users or events. A change can
// have hundreds of thousands of events, if a user with many friends is erased.
const sizes = 7

// most is the largest size.
const most = 1 << (sizes - 1)

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
	// versions reads the last versions of users, and insert records events. They are indexed by the
	// binary logarithm of their sizes.
	versions [sizes]*database.Query
	insert   [sizes]*database.Command

	mu sync.Mutex
	// audiences are those of all apps that have one, by apps.id, as they were at readAt or later.
	audiences map[int64]audience
	readAt    time.Time
}

// audience is who receives the events of an app.
type audience struct {
	// endpoints are the enabled ones, by their IDs.
	endpoints []endpoint
	// feed reports whether there is a feed, which has all events that Write is given, and presence
	// whether it has PresenceChanged too.
	feed, presence bool
}

// wantsPresence reports whether it receives PresenceChanged.
func (a audience) wantsPresence() bool {
	return a.presence || slices.ContainsFunc(a.endpoints, func(e endpoint) bool { return e.wants(PresenceChanged) })
}

// endpoint is an enabled endpoint.
type endpoint struct {
	id int64
	// types are the types that it receives, or nil for all except PresenceChanged.
	types []Type
}

// New returns an Outbox that writes to db.
func New(db *database.DB) *Outbox {
	// The row of a feed has no endpoint and no types, because TiDB does not unite the column of types,
	// which is ASCII, with a text of the statement.
	o := &Outbox{enabled: db.NewQuery("SELECT id, app_id, event_types, FALSE FROM " +
		db.Using("webhook_endpoints", "webhook_endpoints_state") + " WHERE state = 'ENABLED' UNION ALL SELECT 0, id, NULL, presence_feed_enabled FROM " +
		db.Using("apps", "apps_event_feed") + " WHERE event_feed_enabled = TRUE")}
	const row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	for i := range sizes {
		further := 1<<i - 1
		o.versions[i] = db.NewQuery("SELECT subject, MAX(version) FROM events WHERE app_id = ? AND subject IN (?" +
			strings.Repeat(", ?", further) + ") GROUP BY subject")
		o.insert[i] = db.NewCommand("INSERT INTO events " +
			"(uid, app_id, type, subject, version, occurred_at, data, personal, feed_number, recipients, traceparent) VALUES " +
			row + strings.Repeat(", "+row, further))
	}
	return o
}

// of returns the audience of an app.
func (o *Outbox) of(appID int64) (audience, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// The clock of the process: that of the rules may be set by a test, or by an administrator.
	if o.audiences == nil || time.Since(o.readAt) >= Freshness {
		if err := o.read(); err != nil {
			return audience{}, err
		}
	}
	return o.audiences[appID], nil
}

// read reads the audiences. The caller holds o.mu.
func (o *Outbox) read() error {
	readAt := time.Now()
	found := make(map[int64]audience)
	var id, app int64
	var types *string
	var presence bool
	err := o.enabled.Each(context.Background(), nil, []any{&id, &app, &types, &presence}, func() {
		a := found[app]
		if types == nil {
			a.feed, a.presence = true, presence
		} else {
			a.endpoints = append(a.endpoints, endpoint{id, ParseTypes(*types)})
		}
		found[app] = a
	})
	if err != nil {
		return fmt.Errorf("reading webhook endpoints: %w", err)
	}
	for _, a := range found {
		slices.SortFunc(a.endpoints, func(a, b endpoint) int { return cmp.Compare(a.id, b.id) })
	}
	if len(found) > 0 {
		for i := range sizes {
			if err := database.Prepare(o.versions[i], o.insert[i]); err != nil {
				return fmt.Errorf("preparing to record events: %w", err)
			}
		}
	}
	o.audiences, o.readAt = found, readAt
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

// Write records events of an app or of its users in tx, which has locked their rows. It calls list only if
// the app has an enabled endpoint or a feed. recorded reports whether an event was recorded for an
// endpoint: the caller must then publish bus.EventsRecorded after the commit.
func (o *Outbox) Write(tx *gorm.DB, appID int64, list func() ([]Event, error)) (recorded bool, err error) {
	to, err := o.of(appID)
	if err != nil || len(to.endpoints) == 0 && !to.feed {
		return false, err
	}
	events, err := list()
	if err != nil {
		return false, err
	}
	events = slices.DeleteFunc(events, func(e Event) bool {
		return !to.feed && !slices.ContainsFunc(to.endpoints, func(one endpoint) bool { return one.wants(e.Type) })
	})
	if len(events) == 0 {
		return false, nil
	}
	rows, err := o.newRows(tx, appID, events)
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		row.FeedNumber = feedNumber(to.feed)
		row.Recipients = recipients(to.endpoints, Type(row.Type))
		recorded = recorded || row.Recipients != nil
	}
	if err := o.record(tx, rows); err != nil {
		return false, fmt.Errorf("recording events: %w", err)
	}
	return recorded, nil
}

// feedNumber returns models.Event.FeedNumber of a new event.
func feedNumber(feed bool) *int64 {
	if feed {
		return new(models.NotNumbered)
	}
	return new(models.NotInFeed)
}

// recipients returns models.Event.Recipients of an event of that type, or nil if no endpoint wants it.
func recipients(endpoints []endpoint, t Type) *string {
	var ids []string
	for _, to := range endpoints {
		if to.wants(t) {
			ids = append(ids, strconv.FormatInt(to.id, 10))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return new(strings.Join(ids, ","))
}

// record records events in tx.
func (o *Outbox) record(tx *gorm.DB, rows []*models.Event) error {
	traceparent := traceparentOf(tx.Statement.Context)
	for len(rows) > 0 {
		size := min(bits.Len(uint(len(rows)))-1, sizes-1)
		var args []any
		for _, r := range rows[:1<<size] {
			args = append(args, r.UID, r.AppID, r.Type, r.Subject, r.Version, r.OccurredAt, r.Data, r.Personal, r.FeedNumber, r.Recipients, traceparent)
		}
		if _, err := o.insert[size].Run(tx, args...); err != nil {
			return err
		}
		rows = rows[1<<size:]
	}
	return nil
}

// traceparentOf returns models.Event.Traceparent of new events.
func traceparentOf(ctx context.Context) *string {
	if text := tracing.Traceparent(ctx); text != "" {
		return &text
	}
	return nil
}

// newRows returns the rows of events, with the next versions of their users.
func (o *Outbox) newRows(tx *gorm.DB, appID int64, events []Event) ([]*models.Event, error) {
	versions, err := o.lastVersions(tx, appID, events)
	if err != nil {
		return nil, fmt.Errorf("reading versions of events: %w", err)
	}
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

// lastVersions returns the last versions of the users that have recorded events already.
func (o *Outbox) lastVersions(tx *gorm.DB, appID int64, events []Event) (map[string]models.Time, error) {
	var subjects []string
	for _, e := range events {
		subjects = append(subjects, e.Subject)
	}
	slices.Sort(subjects)
	versions := make(map[string]models.Time)
	for some := range slices.Chunk(slices.Compact(subjects), most) {
		size := bits.Len(uint(len(some) - 1)) // of the smallest statement that can have them all
		args := []any{appID}
		for i := range 1 << size {
			args = append(args, some[min(i, len(some)-1)])
		}
		var subject string
		var version models.Time
		if err := o.versions[size].EachIn(tx, args, []any{&subject, &version}, func() { versions[subject] = version }); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// NewRow returns the row of an event, with a new UID.
func NewRow(appID int64, e Event, version models.Time) (*models.Event, error) {
	if e.Subject != "" {
		e.Data.User.ID, e.Data.User.Version = e.Subject, int64(version)
	}
	if e.Data.App != nil {
		app := *e.Data.App
		app.Version = int64(version)
		e.Data.App = &app
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

// CountPersonal returns in how many recorded events Erase will erase personal values of each user, by
// external ID.
func CountPersonal(tx *gorm.DB, appID int64, subjects []string) (map[string]int, error) {
	counts := make(map[string]int)
	count := func(query *gorm.DB) error {
		var rows []struct {
			Subject string
			N       int
		}
		err := query.Select("subject, COUNT(*) AS n").Where("app_id = ? AND subject IN ?", appID, subjects).Group("subject").Find(&rows).Error
		for _, row := range rows {
			counts[row.Subject] += row.N
		}
		return fault.Wrap(err, "counting events")
	}
	if err := count(tx.Model(&models.Event{}).Where("personal IS NOT NULL")); err != nil {
		return nil, err
	}
	return counts, count(tx.Model(&models.EventUser{}))
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
