package webhooks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/models"
)

// This file distributes events: after the commit of a change, it makes the deliveries to the recipients
// of its events and gives the events their numbers in the feed. The change need not wait for either,
// and those of many changes share a transaction.
//
// One that distributes has locked the row of the app's feed, and sees only what is committed. A user's
// events are committed in the order of their versions, so they are distributed in it.

// distributeChunk is how many events one transaction distributes at most. It is larger than any page.
const distributeChunk = 1000

// freshApps returns the query for the apps that have events to distribute. It seeks for each app and
// value: for EXISTS or a range, MariaDB may read all events.
func freshApps(db *database.DB) *database.Query {
	seek := "(SELECT events.app_id FROM " + db.Using("events", "events_feed") + " WHERE events.app_id = a.app_id AND feed_number = ? LIMIT 1)"
	return db.NewBoundedQuery("SELECT app_id FROM (SELECT app_id FROM webhook_endpoints UNION SELECT app_id FROM event_feeds) a WHERE COALESCE(" +
		seek + ", " + seek + ") IS NOT NULL ORDER BY app_id")
}

// distributeAll distributes a chunk of each app's events. It reports whether there may be more.
func (s *Service) distributeAll(ctx context.Context) (more bool, err error) {
	var apps []int64
	var app int64
	err = s.fresh.Each(ctx, []any{models.NotInFeed, models.NotNumbered}, []any{&app}, func() { apps = append(apps, app) })
	if err != nil {
		return false, fmt.Errorf("looking for new events: %w", err)
	}
	for _, app := range apps {
		n, err := s.distribute(ctx, app)
		if err != nil {
			return false, err
		}
		more = more || n == distributeChunk
	}
	return more, nil
}

// distribute distributes a chunk of an app's events, and returns how many there were.
func (s *Service) distribute(ctx context.Context, appID int64) (n int, err error) {
	fresh := func(db *gorm.DB) *gorm.DB {
		return db.Table(s.db.Using("events", "events_feed")).Where("app_id = ? AND feed_number <= 0", appID)
	}
	var one []int64
	if err := fresh(s.db.Read(ctx)).Limit(1).Pluck("id", &one).Error; err != nil || len(one) == 0 {
		return 0, err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		n = 0
		feed, err := lockFeed(tx, appID)
		if err != nil {
			return err
		}
		var events []*models.Event
		err = fresh(tx).Select("id", "version", "feed_number", "recipients").Order("version, id").Limit(distributeChunk).Find(&events).Error
		if err != nil || len(events) == 0 {
			return err
		}
		n = len(events)
		// The events are locked before their deliveries are made, as by an erasure, and in the same order.
		if err := number(tx, feed, events); err != nil {
			return err
		}
		return deliverTo(tx, appID, events)
	})
	if err != nil {
		return 0, fmt.Errorf("distributing events: %w", err)
	}
	return n, nil
}

// lockFeed locks the row of an app's feed, after it has made it if there is none.
func lockFeed(tx *gorm.DB, appID int64) (*models.EventFeed, error) {
	var rows []*models.EventFeed
	lock := func() error { return tx.Clauses(forUpdate).Where("app_id = ?", appID).Find(&rows).Error }
	if err := lock(); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.EventFeed{AppID: appID}).Error; err != nil {
			return nil, err
		}
		if err := lock(); err != nil {
			return nil, err
		}
	}
	if len(rows) == 0 {
		// On TiDB, a transaction that has locked no row does not lock one that another has made since.
		return nil, database.ErrOvertaken
	}
	return rows[0], nil
}

// number marks events as distributed, and gives those of the feed the next numbers.
func number(tx *gorm.DB, feed *models.EventFeed, events []*models.Event) error {
	last := feed.LastNumber
	var numbers strings.Builder
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.ID
		if *e.FeedNumber == models.NotNumbered {
			last++
			fmt.Fprintf(&numbers, " WHEN %d THEN %d", e.ID, last)
		}
	}
	slices.Sort(ids)
	value := "NULL"
	if numbers.Len() > 0 {
		value = "CASE id" + numbers.String() + " END"
	}
	if err := tx.Exec("UPDATE events SET recipients = NULL, feed_number = "+value+" WHERE id IN ?", ids).Error; err != nil {
		return err
	}
	if last == feed.LastNumber {
		return nil
	}
	return tx.Model(&models.EventFeed{}).Where("app_id = ?", feed.AppID).Update("last_number", last).Error
}

// deliverTo makes the deliveries of events to their recipients, except to those that have been deleted.
// The row of an endpoint that is being deleted stays for deletedKept, longer than this transaction.
func deliverTo(tx *gorm.DB, appID int64, events []*models.Event) error {
	var endpoints []int64
	err := tx.Model(&models.WebhookEndpoint{}).Where("app_id = ? AND state <> ?", appID, models.EndpointDeleted).Pluck("id", &endpoints).Error
	if err != nil {
		return err
	}
	exists := make(map[string]bool)
	for _, id := range endpoints {
		exists[strconv.FormatInt(id, 10)] = true
	}
	var rows []string
	for _, e := range events {
		if e.Recipients == nil {
			continue
		}
		for to := range strings.SplitSeq(*e.Recipients, ",") {
			if exists[to] {
				// The version as the time of the first attempt keeps the order of a user's events.
				rows = append(rows, fmt.Sprintf("(%s, %d, '%s', %d)", to, e.ID, models.DeliveryPending, e.Version))
			}
		}
	}
	for some := range slices.Chunk(rows, distributeChunk) {
		err := tx.Exec("INSERT INTO deliveries (endpoint_id, event_id, state, next_attempt_at) VALUES " + strings.Join(some, ", ")).Error
		if err != nil {
			return err
		}
	}
	return nil
}
