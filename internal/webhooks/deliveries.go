package webhooks

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/models"
)

// MaxDeliveries is how many deliveries one call lists or replays at most.
const MaxDeliveries = 1000

// Sent is a delivery with its event.
type Sent struct {
	models.Delivery
	UID        string
	Type       string
	Subject    string
	OccurredAt models.Time
}

// Filter selects deliveries to an endpoint.
type Filter struct {
	EndpointID int64
	// State is that of the deliveries, or "" for all.
	State models.DeliveryState
	// Since is the earliest time of the event.
	Since models.Time
	// Limit is from 1 to MaxDeliveries.
	Limit int
}

// check returns INVALID_ARGUMENT if a value violates its rule.
func (f Filter) check() error {
	switch f.State {
	case "", models.DeliveryPending, models.DeliveryDelivered, models.DeliveryFailed:
	default:
		return fault.Invalid("state", "oneof", "state must be PENDING, DELIVERED or FAILED")
	}
	if f.Limit < 1 || f.Limit > MaxDeliveries {
		return fault.Invalid("limit", "max", "limit must be from 1 to %d", MaxDeliveries)
	}
	return nil
}

// Deliveries returns the deliveries to an endpoint of the app, the newest first; if there are more
// than the limit, those whose last or next attempt is the latest. Returns ErrNoEndpoint, and
// INVALID_ARGUMENT for the filter.
func (s *Service) Deliveries(ctx context.Context, app *models.App, f Filter) ([]*Sent, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if _, err := s.Endpoint(ctx, app, f.EndpointID); err != nil {
		return nil, err
	}
	ids, err := s.selectDeliveries(s.db.Read(ctx), f, true)
	if err != nil || len(ids) == 0 {
		return nil, fault.Wrap(err, "listing webhook deliveries")
	}
	var list []*Sent
	err = s.db.Read(ctx).Model(&models.Delivery{}).
		Select("deliveries.*, e.uid, e.type, e.subject, e.occurred_at").
		Joins("JOIN events e ON e.id = deliveries.event_id").
		Where("deliveries.id IN ?", ids).Order("e.occurred_at DESC, deliveries.id DESC").Find(&list).Error
	return list, fault.Wrap(err, "listing webhook deliveries")
}

// selectDeliveries returns the IDs of the deliveries that a filter selects, from the latest or the
// earliest attempt on. It takes the same time for any number of other deliveries.
func (s *Service) selectDeliveries(tx *gorm.DB, f Filter, latest bool) ([]int64, error) {
	states, order := []models.DeliveryState{f.State}, "deliveries.next_attempt_at, deliveries.id"
	if f.State == "" {
		states = []models.DeliveryState{models.DeliveryPending, models.DeliveryDelivered, models.DeliveryFailed}
	}
	if latest {
		order = "deliveries.next_attempt_at DESC, deliveries.id DESC"
	}
	var found []models.Delivery
	// The index has the order within a state.
	for _, state := range states {
		// No attempt is earlier than the event.
		query := tx.Table(s.db.Using("deliveries", "deliveries_due")).Select("deliveries.id, deliveries.next_attempt_at").
			Where("deliveries.endpoint_id = ? AND deliveries.state = ? AND deliveries.next_attempt_at >= ?", f.EndpointID, state, f.Since)
		if f.Since > 0 {
			query = query.Joins(s.db.Then()+" events e ON e.id = deliveries.event_id").Where("e.occurred_at >= ?", f.Since)
		}
		var some []models.Delivery
		if err := query.Order(order).Limit(f.Limit).Find(&some).Error; err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b models.Delivery) int {
		earlier := cmp.Or(cmp.Compare(a.NextAttemptAt, b.NextAttemptAt), cmp.Compare(a.ID, b.ID))
		if latest {
			return -earlier
		}
		return earlier
	})
	ids := make([]int64, min(len(found), f.Limit))
	for i := range ids {
		ids[i] = found[i].ID
	}
	return ids, nil
}

// Test records an event endpoint.test for one endpoint and returns its delivery, which a running
// node sends, also if the endpoint pauses after failures. Returns ErrNoEndpoint, and INVALID_ARGUMENT
// if the endpoint is disabled.
func (s *Service) Test(ctx context.Context, app *models.App, id int64, by models.Actor) (*Sent, error) {
	var out *Sent
	_, err := s.change(ctx, app, id, audit.ActionWebhookTest, by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		if err := checkEnabled(e); err != nil {
			return err
		}
		now := s.now()
		row, err := outbox.NewRow(app.ID, outbox.Event{Type: outbox.EndpointTest, At: now}, now)
		if err != nil {
			return err
		}
		if err := tx.Create(row).Error; err != nil {
			return err
		}
		out = &Sent{
			Delivery: models.Delivery{EndpointID: e.ID, EventID: row.ID, State: models.DeliveryPending, NextAttemptAt: now},
			UID:      row.UID, Type: row.Type, OccurredAt: row.OccurredAt,
		}
		if err := tx.Create(&out.Delivery).Error; err != nil {
			return err
		}
		return tx.Model(e).Update("resume_at", now).Error
	})
	if err != nil {
		return nil, err
	}
	s.notify()
	return out, nil
}

// checkEnabled returns INVALID_ARGUMENT if the endpoint is disabled.
func checkEnabled(e *models.WebhookEndpoint) error {
	if e.State != models.EndpointEnabled {
		return fault.Invalid("id", "enabled", "the endpoint %d is disabled: enable it first", e.ID)
	}
	return nil
}

// ByID returns a delivery to an endpoint, or nil if there is none.
func (s *Service) ByID(ctx context.Context, endpointID, id int64) (*models.Delivery, error) {
	d := &models.Delivery{}
	err := s.db.Read(ctx).Where("endpoint_id = ? AND id = ?", endpointID, id).Take(d).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return d, fault.Wrap(err, "reading webhook delivery")
}

// replayed is what a delivery becomes that is sent again, at once and with all its attempts.
func replayed(now models.Time) map[string]any {
	return map[string]any{"state": models.DeliveryPending, "attempts": 0, "next_attempt_at": now, "expires_at": nil}
}

// Replay sends deliveries again, also those that the receiver has accepted: those with these IDs or,
// if there are none, those that the filter selects, from the earliest last or next attempt on. The
// events keep their IDs. It returns how many there are. Those that are pending are not sent twice, but
// at once. Returns ErrNoEndpoint, and INVALID_ARGUMENT for the filter, for more than MaxDeliveries
// IDs, or if the endpoint is disabled.
func (s *Service) Replay(ctx context.Context, app *models.App, ids []int64, f Filter, by models.Actor) (n int, err error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	if len(ids) > MaxDeliveries {
		return 0, fault.Invalid("ids", "max", "at most %d deliveries can be replayed at once", MaxDeliveries)
	}
	_, err = s.change(ctx, app, f.EndpointID, audit.ActionWebhookReplay, by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		if err := checkEnabled(e); err != nil {
			return err
		}
		chosen := ids
		if len(chosen) == 0 {
			var err error
			if chosen, err = s.selectDeliveries(tx, f, false); err != nil {
				return err
			}
		}
		if len(chosen) == 0 {
			n = 0
			return nil
		}
		again := tx.Model(&models.Delivery{}).Where("id IN ? AND endpoint_id = ?", chosen, e.ID).Updates(replayed(s.now()))
		n = int(again.RowsAffected)
		if again.Error != nil || n == 0 {
			return again.Error
		}
		// A pause after failures ends: the operator knows that the receiver works again.
		return tx.Model(e).Update("resume_at", s.now()).Error
	})
	if err != nil {
		return 0, err
	}
	s.notify()
	return n, nil
}

// Enable lets a disabled endpoint receive events again, and returns after the same wait as Create.
// What was not recorded while it was disabled is not delivered. Returns ErrNoEndpoint.
func (s *Service) Enable(ctx context.Context, app *models.App, id int64, by models.Actor) (*models.WebhookEndpoint, error) {
	e, err := s.change(ctx, app, id, audit.ActionWebhookEnable, by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		e.State, e.StateReason, e.FailingSince, e.ResumeAt = models.EndpointEnabled, "", 0, s.now()
		return tx.Model(e).Select("state", "state_reason", "failing_since", "resume_at").Updates(e).Error
	})
	if err != nil {
		return nil, err
	}
	return e, s.awaitFresh(ctx)
}
