package webhooks

import (
	"context"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/page"
	"rollcall/models"
)

// The IDs that App Servers see are encrypted, because the keys count the rows of all apps. Those of
// one app do not decode in another.

func (s *Service) endpointIDs(appID int64) *opaque.Sealer {
	return s.opts.Secret.Sealer("webhook endpoint", appID)
}

func (s *Service) deliveryIDs(appID int64) *opaque.Sealer {
	return s.opts.Secret.Sealer("webhook delivery", appID)
}

// EndpointID returns the ID of an endpoint for its App Server.
func (s *Service) EndpointID(e *models.WebhookEndpoint) string {
	return models.WebhookEndpointNode.ID(s.endpointIDs(e.AppID).Seal(e.ID, 0))
}

// EndpointKey returns the key of an endpoint that an App Server names. Returns ErrNoEndpoint if it is
// the ID of no endpoint of the app.
func (s *Service) EndpointKey(app *models.App, id string) (int64, error) {
	if kind, parts, ok := models.ParseNodeID(id); ok && kind == models.WebhookEndpointNode {
		if key, zero, ok := s.endpointIDs(app.ID).Open(parts[0]); ok && zero == 0 {
			return key, nil
		}
	}
	return 0, ErrNoEndpoint
}

// EndpointByID returns an endpoint that an App Server names. Returns ErrNoEndpoint.
func (s *Service) EndpointByID(ctx context.Context, app *models.App, id string) (*models.WebhookEndpoint, error) {
	key, err := s.EndpointKey(app, id)
	if err != nil {
		return nil, err
	}
	return s.Endpoint(ctx, app, key)
}

// DeliveryID returns the ID of a delivery for the App Server of the app.
func (s *Service) DeliveryID(app *models.App, d *Sent) string {
	return models.WebhookDeliveryNode.ID(s.deliveryIDs(app.ID).Seal(d.EndpointID, d.ID))
}

// DeliveryKey returns the keys of a delivery that an App Server names, and of its endpoint. Returns
// ErrNoDelivery if it is the ID of no delivery of the app.
func (s *Service) DeliveryKey(app *models.App, id string) (endpointID, key int64, err error) {
	if kind, parts, ok := models.ParseNodeID(id); ok && kind == models.WebhookDeliveryNode {
		if endpointID, key, ok := s.deliveryIDs(app.ID).Open(parts[0]); ok {
			return endpointID, key, nil
		}
	}
	return 0, 0, ErrNoDelivery
}

// DeliveryByID returns a delivery that an App Server names. Returns ErrNoEndpoint and ErrNoDelivery.
func (s *Service) DeliveryByID(ctx context.Context, app *models.App, id string) (*Sent, error) {
	endpointID, key, err := s.DeliveryKey(app, id)
	if err != nil {
		return nil, err
	}
	return s.Delivery(ctx, app, endpointID, key)
}

// Delivery returns a delivery to an endpoint of the app. Returns ErrNoEndpoint and ErrNoDelivery.
func (s *Service) Delivery(ctx context.Context, app *models.App, endpointID, id int64) (*Sent, error) {
	if _, err := s.Endpoint(ctx, app, endpointID); err != nil {
		return nil, err
	}
	return s.sent(ctx, endpointID, id)
}

// Unknown reports whether err means that there is no such endpoint or delivery.
func Unknown(err error) bool { return fault.CodeOf(err) == fault.WebhookNotFound }

// DeliveryConnection is one page of deliveries.
type DeliveryConnection = page.Connection[*Sent]

// DeliveryEdge is a delivery in a page.
type DeliveryEdge = page.Edge[*Sent]
