package webhooks

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// Endpoint returns an endpoint of the app. Returns ErrNoEndpoint.
func (s *Service) Endpoint(ctx context.Context, app *models.App, id int64) (*models.WebhookEndpoint, error) {
	e := &models.WebhookEndpoint{}
	err := s.db.Read(ctx).Where("app_id = ? AND id = ? AND state <> ?", app.ID, id, models.EndpointDeleted).Take(e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrNoEndpoint
	}
	return e, fault.Wrap(err, "reading webhook endpoint")
}

// Endpoints returns the endpoints with these IDs, of any app, without those that are deleted.
func (s *Service) Endpoints(ctx context.Context, ids []int64) ([]*models.WebhookEndpoint, error) {
	var list []*models.WebhookEndpoint
	err := s.db.Read(ctx).Where("id IN ? AND state <> ?", ids, models.EndpointDeleted).Find(&list).Error
	return list, fault.Wrap(err, "reading webhook endpoints")
}

// Browse returns a page of the deliveries to an endpoint, by the time of the last or next attempt,
// the latest first; in one state, or in all if state is "". A page takes the same time at any depth,
// but a delivery that is attempted moves. Returns INVALID_ARGUMENT for a cursor of another list.
func (s *Service) Browse(ctx context.Context, e *models.WebhookEndpoint, state models.DeliveryState, r page.Request) (*DeliveryConnection, error) {
	states := []models.DeliveryState{models.DeliveryPending, models.DeliveryDelivered, models.DeliveryFailed}
	if state != "" {
		states = []models.DeliveryState{state}
	}
	order := page.Order{List: "webhook-deliveries " + string(state), Owner: e.ID, Secret: s.opts.Secret, At: "next_attempt_at", ID: "id"}
	var found []models.Delivery
	// The index has the order within a state. A join could tempt the database to sort all rows.
	for _, one := range states {
		query, err := order.Limit(s.db.Read(ctx).Table(s.db.Using("deliveries", "deliveries_due")).
			Where("endpoint_id = ? AND state = ?", e.ID, one), r)
		if err != nil {
			return nil, err
		}
		var some []models.Delivery
		if err := query.Find(&some).Error; err != nil {
			return nil, fault.Wrap(err, "listing webhook deliveries")
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b models.Delivery) int {
		return cmp.Or(cmp.Compare(b.NextAttemptAt, a.NextAttemptAt), cmp.Compare(b.ID, a.ID))
	})
	found = found[:min(len(found), r.First+1)]
	list, keys := make([]*Sent, len(found)), make([]page.Key, len(found))
	events := make(map[int64]*models.Event)
	for i, d := range found {
		list[i], keys[i] = &Sent{Delivery: d}, page.Key{At: d.NextAttemptAt, ID: d.ID}
		events[d.EventID] = new(models.Event)
	}
	var rows []*models.Event
	err := s.db.Read(ctx).Select("id", "uid", "type", "subject", "occurred_at").
		Where("id IN ?", slices.Collect(maps.Keys(events))).Find(&rows).Error
	if err != nil {
		return nil, fault.Wrap(err, "reading events of webhook deliveries")
	}
	for _, row := range rows {
		events[row.ID] = row
	}
	for _, d := range list {
		row := events[d.EventID]
		d.UID, d.Type, d.Subject, d.OccurredAt = row.UID, row.Type, row.Subject, row.OccurredAt
	}
	return page.Of(order, r, list, keys, nil), nil
}

// Exchange is a delivery with its request.
type Exchange struct {
	Sent
	// Header and Body are what an attempt would send now. An earlier attempt had another time, so
	// another signature, and may have had values that have been erased since. There is no signature
	// if this node cannot decrypt the secret.
	Header http.Header
	Body   []byte
}

// Exchange returns a delivery to an endpoint with its request, or nil if there is none.
func (s *Service) Exchange(ctx context.Context, app *models.App, e *models.WebhookEndpoint, id int64) (*Exchange, error) {
	d := &due{}
	err := s.db.Read(ctx).Table("deliveries").Select(dueColumns).Joins("JOIN events e ON e.id = deliveries.event_id").
		Where("deliveries.id = ? AND deliveries.endpoint_id = ?", id, e.ID).Take(d).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, "reading webhook delivery")
	}
	ring, err := s.vault.Read(s.db.Read(ctx), s.now())
	if err != nil {
		return nil, fault.Wrap(err, "reading webhook delivery")
	}
	to := &target{endpoint: e, appKey: app.Key}
	unsigned := false
	if to.secrets, err = secretsOf(ring, e, s.now()); err != nil {
		unsigned = true
	}
	request, body, err := s.request(ctx, to, d)
	if err != nil {
		return nil, err
	}
	if unsigned {
		request.Header.Del(signatureHeader)
	}
	return &Exchange{
		Sent:   Sent{Delivery: d.Delivery, UID: d.UID, Type: d.Type, Subject: d.Subject, OccurredAt: d.OccurredAt},
		Header: request.Header, Body: body,
	}, nil
}
