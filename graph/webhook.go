package graph

import (
	"cmp"
	"context"
	"strings"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// defaultGrace is how long the previous secret of an endpoint signs if graceHours is not given.
const defaultGrace = 24 * time.Hour

// ofInput returns err with the path of the field in the input, if it is a refusal of a rule that
// names the field only.
func ofInput(err error) error {
	if refusal, ok := fault.As(err); ok && refusal.Field() != nil {
		return refusal.With("field", "input."+*refusal.Field())
	}
	return err
}

// eventTypes returns the types in an input.
func eventTypes(names []string) []outbox.Type {
	var types []outbox.Type
	for _, name := range names {
		types = append(types, outbox.Type(name))
	}
	return types
}

func (r *queryResolver) WebhookEndpoints(ctx context.Context) ([]*models.WebhookEndpoint, error) {
	return r.webhooks.List(ctx, auth.From(ctx).App)
}

func (r *queryResolver) WebhookDeliveries(ctx context.Context, endpointID string, state *models.DeliveryState, first *int, after *string) (*webhooks.DeliveryConnection, error) {
	app := auth.From(ctx).App
	endpoint, err := r.webhooks.EndpointByID(ctx, app, endpointID)
	if err != nil {
		return nil, err
	}
	in := models.DeliveryState("")
	if state != nil {
		in = *state
	}
	return r.webhooks.Browse(ctx, endpoint, in, pageRequest(ctx, first, after))
}

func (r *queryResolver) Events(ctx context.Context, first *int, after *string) (*webhooks.EventConnection, error) {
	return r.webhooks.Events(ctx, auth.From(ctx).App, pageRequest(ctx, first, after))
}

func (r *eventResolver) UserID(ctx context.Context, obj *webhooks.FeedEvent) (*string, error) {
	return nonzero(obj.Subject), nil
}

func (r *mutationResolver) CreateWebhookEndpoint(ctx context.Context, input generated.CreateWebhookEndpointInput) (*generated.CreateWebhookEndpointPayload, error) {
	endpoint, secret, err := r.webhooks.Create(ctx, auth.From(ctx).App, webhooks.NewEndpoint{
		URL: input.URL, Description: input.Description, Types: eventTypes(input.EventTypes),
	}, audit.AppServer)
	if err != nil {
		return nil, ofInput(err)
	}
	return &generated.CreateWebhookEndpointPayload{Endpoint: endpoint, Secret: secret}, nil
}

func (r *mutationResolver) UpdateWebhookEndpoint(ctx context.Context, input generated.UpdateWebhookEndpointInput) (*generated.UpdateWebhookEndpointPayload, error) {
	app := auth.From(ctx).App
	key, err := r.webhooks.EndpointKey(app, input.EndpointID)
	if err != nil {
		return nil, err
	}
	change := webhooks.EndpointChange{
		URL: optional(input.URL), Description: optional(input.Description), Types: eventTypes(input.EventTypes),
	}
	switch {
	case input.Enable:
		change.State = models.EndpointEnabled
	case input.Disable:
		change.State = models.EndpointDisabled
	}
	if input.RemoveDescription {
		change.Description = new(string)
	}
	if input.AllEventTypes {
		change.Types = []outbox.Type{}
	}
	endpoint, err := r.webhooks.Update(ctx, app, key, change, audit.AppServer)
	if err != nil {
		return nil, ofInput(err)
	}
	return &generated.UpdateWebhookEndpointPayload{Endpoint: endpoint}, nil
}

func (r *mutationResolver) DeleteWebhookEndpoint(ctx context.Context, input generated.DeleteWebhookEndpointInput) (*generated.DeleteWebhookEndpointPayload, error) {
	app := auth.From(ctx).App
	key, err := r.webhooks.EndpointKey(app, input.EndpointID)
	if err != nil {
		return nil, err
	}
	if _, err := r.webhooks.Delete(ctx, app, key, audit.AppServer); err != nil {
		return nil, err
	}
	return &generated.DeleteWebhookEndpointPayload{EndpointID: input.EndpointID}, nil
}

func (r *mutationResolver) RotateWebhookSecret(ctx context.Context, input generated.RotateWebhookSecretInput) (*generated.RotateWebhookSecretPayload, error) {
	app := auth.From(ctx).App
	key, err := r.webhooks.EndpointKey(app, input.EndpointID)
	if err != nil {
		return nil, err
	}
	grace := defaultGrace
	switch {
	case input.EndAtOnce:
		grace = 0
	case input.GraceHours != 0:
		grace = time.Duration(input.GraceHours) * time.Hour
	}
	endpoint, secret, err := r.webhooks.RotateSecret(ctx, app, key, grace, audit.AppServer)
	if refusal, ok := fault.As(err); ok && refusal.Code == fault.InvalidArgument {
		return nil, refusal.With("field", "input.graceHours")
	}
	if err != nil {
		return nil, err
	}
	return &generated.RotateWebhookSecretPayload{Endpoint: endpoint, Secret: secret}, nil
}

func (r *mutationResolver) TestWebhookEndpoint(ctx context.Context, input generated.TestWebhookEndpointInput) (*generated.TestWebhookEndpointPayload, error) {
	app := auth.From(ctx).App
	key, err := r.webhooks.EndpointKey(app, input.EndpointID)
	if err != nil {
		return nil, err
	}
	delivery, err := r.webhooks.Test(ctx, app, key, audit.AppServer)
	if err != nil {
		return nil, ofEndpoint(err)
	}
	return &generated.TestWebhookEndpointPayload{Delivery: delivery}, nil
}

// ofEndpoint returns err with the field `input.endpointId`, if it is INVALID_ARGUMENT about the
// endpoint, which has another name in the rules.
func ofEndpoint(err error) error {
	if refusal, ok := fault.As(err); ok && refusal.Code == fault.InvalidArgument && *refusal.Field() == "id" {
		return refusal.With("field", "input.endpointId")
	}
	return err
}

func (r *mutationResolver) ReplayWebhookDelivery(ctx context.Context, input generated.ReplayWebhookDeliveryInput) (*generated.ReplayWebhookDeliveryPayload, error) {
	app := auth.From(ctx).App
	endpoint, key, err := r.webhooks.DeliveryKey(app, input.DeliveryID)
	if err != nil {
		return nil, err
	}
	delivery, err := r.webhooks.ReplayOne(ctx, app, endpoint, key, audit.AppServer)
	if refusal, ok := fault.As(err); ok && refusal.Code == fault.InvalidArgument {
		return nil, refusal.With("field", "input.deliveryId")
	}
	if err != nil {
		return nil, err
	}
	return &generated.ReplayWebhookDeliveryPayload{Delivery: delivery}, nil
}

func (r *mutationResolver) ReplayWebhookDeliveries(ctx context.Context, input generated.ReplayWebhookDeliveriesInput) (*generated.ReplayWebhookDeliveriesPayload, error) {
	app := auth.From(ctx).App
	key, err := r.webhooks.EndpointKey(app, input.EndpointID)
	if err != nil {
		return nil, err
	}
	filter := webhooks.Filter{
		EndpointID: key, State: cmp.Or(input.State, models.DeliveryFailed), Since: input.Since, Limit: webhooks.MaxDeliveries,
	}
	n, err := r.webhooks.Replay(ctx, app, nil, filter, audit.AppServer)
	if err != nil {
		return nil, ofEndpoint(err)
	}
	return &generated.ReplayWebhookDeliveriesPayload{ReplayedCount: n}, nil
}

func (r *webhookEndpointResolver) ID(ctx context.Context, obj *models.WebhookEndpoint) (string, error) {
	return r.webhooks.EndpointID(obj), nil
}

func (r *webhookEndpointResolver) EventTypes(ctx context.Context, obj *models.WebhookEndpoint) ([]string, error) {
	names := []string{}
	for _, t := range outbox.ParseTypes(obj.EventTypes) {
		names = append(names, string(t))
	}
	return names, nil
}

func (r *webhookEndpointResolver) Enabled(ctx context.Context, obj *models.WebhookEndpoint) (bool, error) {
	return obj.State == models.EndpointEnabled, nil
}

func (r *webhookEndpointResolver) DisabledReason(ctx context.Context, obj *models.WebhookEndpoint) (*generated.WebhookDisabledReason, error) {
	if obj.State == models.EndpointEnabled {
		return nil, nil
	}
	reason := generated.WebhookDisabledReason(strings.ToUpper(obj.StateReason))
	if !reason.IsValid() {
		reason = generated.WebhookDisabledReasonRequested
	}
	return &reason, nil
}

func (r *webhookEndpointResolver) FailingSince(ctx context.Context, obj *models.WebhookEndpoint) (*models.Time, error) {
	return nonzero(obj.FailingSince), nil
}

func (r *webhookEndpointResolver) PreviousSecretEndsAt(ctx context.Context, obj *models.WebhookEndpoint) (*models.Time, error) {
	if obj.PreviousSecretEndsAt <= r.now() {
		return nil, nil
	}
	return &obj.PreviousSecretEndsAt, nil
}

// nonzero returns nil for 0.
func nonzero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func (r *webhookDeliveryResolver) ID(ctx context.Context, obj *webhooks.Sent) (string, error) {
	return r.webhooks.DeliveryID(auth.From(ctx).App, obj), nil
}

func (r *webhookDeliveryResolver) EventUserID(ctx context.Context, obj *webhooks.Sent) (*string, error) {
	return nonzero(obj.Subject), nil
}

func (r *webhookDeliveryResolver) NextAttemptAt(ctx context.Context, obj *webhooks.Sent) (*models.Time, error) {
	if obj.State != models.DeliveryPending {
		return nil, nil
	}
	return &obj.NextAttemptAt, nil
}

func (r *webhookDeliveryResolver) LastStatus(ctx context.Context, obj *webhooks.Sent) (*int, error) {
	return nonzero(obj.LastStatus), nil
}

func (r *webhookDeliveryResolver) LastDurationMs(ctx context.Context, obj *webhooks.Sent) (*int, error) {
	if obj.Attempts == 0 && obj.LastMs == 0 {
		return nil, nil
	}
	return &obj.LastMs, nil
}

// WebhookEndpoint returns the resolvers of a webhook endpoint.
func (r *Resolver) WebhookEndpoint() generated.WebhookEndpointResolver {
	return &webhookEndpointResolver{r}
}

// WebhookDelivery returns the resolvers of a delivery.
func (r *Resolver) WebhookDelivery() generated.WebhookDeliveryResolver {
	return &webhookDeliveryResolver{r}
}

// Event returns the resolvers of an event.
func (r *Resolver) Event() generated.EventResolver { return &eventResolver{r} }

type (
	eventResolver           struct{ *Resolver }
	webhookEndpointResolver struct{ *Resolver }
	webhookDeliveryResolver struct{ *Resolver }
)
