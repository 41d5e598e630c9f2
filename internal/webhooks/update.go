package webhooks

import (
	"context"
	"errors"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/validate"
	"rollcall/models"
)

// EndpointChange is a change of an endpoint. Fields that are nil or empty stay as they are.
type EndpointChange struct {
	// URL must be https, unless Options.AllowPrivate is set.
	URL         *string `json:"url" validate:"omitnil,maxbytes=1024,http_url"`
	Description *string `json:"description" validate:"omitnil,max=128,nocontrol,nobidi"`
	// Types replace the types of events that the endpoint receives. If the list is empty but not nil,
	// it receives all as in NewEndpoint.
	Types []outbox.Type `json:"eventTypes"`
	// State is EndpointEnabled or EndpointDisabled.
	State models.EndpointState
	// Seen, if set, is the endpoint as the caller has read it. If another value to change differs from
	// it, nothing is changed; see IsStale.
	Seen *models.WebhookEndpoint `json:"-"`
}

// staleSeen is the rule of the refusal of a change with another Seen.
const staleSeen = "stale"

// IsStale reports whether Update refused a change because of its Seen.
func IsStale(err error) bool {
	refusal, ok := fault.As(err)
	return ok && refusal.Rule() != nil && *refusal.Rule() == staleSeen
}

// checkSeen returns a refusal if e has another value than Seen in a field that the change replaces by
// yet another value.
func (c EndpointChange) checkSeen(e *models.WebhookEndpoint) error {
	if c.Seen == nil {
		return nil
	}
	if c.URL != nil && e.URL != c.Seen.URL && e.URL != *c.URL ||
		c.Description != nil && e.Description != c.Seen.Description && e.Description != *c.Description ||
		c.Types != nil && e.EventTypes != c.Seen.EventTypes && e.EventTypes != joinTypes(c.Types) {
		return fault.Invalid("version", staleSeen, "the endpoint has been changed")
	}
	return nil
}

// Validate returns INVALID_ARGUMENT if a value violates its rule. It checks neither the types nor the
// state, nor the scheme of the URL.
func (c EndpointChange) Validate() error { return validate.Input(c) }

// Why an endpoint is disabled: models.WebhookEndpoint.StateReason.
const (
	ReasonRequested = "requested" // by a change
	ReasonFailing   = "failing"   // all attempts have failed for disableAfter
	ReasonGone      = "gone"      // it has responded with 410 Gone
)

// Update changes an endpoint. If it has other types or is enabled, Update returns after the same wait
// as Create. The deliveries of an endpoint that is disabled become FAILED. One that is enabled or has
// another URL is called at once, and no longer counts as failing. Returns ErrNoEndpoint, and
// INVALID_ARGUMENT for a value.
func (s *Service) Update(ctx context.Context, app *models.App, id int64, c EndpointChange, by models.Actor) (*models.WebhookEndpoint, error) {
	if err := s.CheckChange(c); err != nil {
		return nil, err
	}
	widened := false
	e, err := s.change(ctx, app, id, "", by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		if err := c.checkSeen(e); err != nil {
			return err
		}
		before := *e
		if c.URL != nil {
			e.URL = *c.URL
		}
		if c.Description != nil {
			e.Description = *c.Description
		}
		if c.Types != nil {
			e.EventTypes = joinTypes(c.Types)
		}
		if c.State != "" && c.State != e.State {
			e.State, e.StateReason = c.State, ""
			if c.State == models.EndpointDisabled {
				e.StateReason = ReasonRequested
			}
		}
		enabled := e.State == models.EndpointEnabled && before.State != models.EndpointEnabled
		if enabled || e.URL != before.URL {
			e.FailingSince, e.ResumeAt = 0, s.now()
		}
		widened = enabled || e.EventTypes != before.EventTypes
		if err := s.auditDetail(tx, app.ID, audit.ActionWebhookUpdate, e, updateDetail(&before, e), by); err != nil {
			return err
		}
		return tx.Model(e).Select("url", "description", "event_types", "state", "state_reason", "failing_since", "resume_at").Updates(e).Error
	})
	if err != nil || !widened {
		return e, err
	}
	return e, s.awaitFresh(ctx)
}

// updateDetail returns the detail of the audit entry: the fields that have changed, without their
// values, because a URL may contain a secret, and the new state.
func updateDetail(before, after *models.WebhookEndpoint) string {
	var changed, detail []string
	for _, field := range []struct{ name, before, after string }{
		{"url", before.URL, after.URL}, {"description", before.Description, after.Description}, {"eventTypes", before.EventTypes, after.EventTypes},
	} {
		if field.before != field.after {
			changed = append(changed, field.name)
		}
	}
	if len(changed) > 0 {
		detail = append(detail, "changed="+strings.Join(changed, ","))
	}
	if before.State != after.State {
		detail = append(detail, "state="+string(after.State))
	}
	return strings.Join(detail, " ")
}

// CheckChange returns INVALID_ARGUMENT for each value that violates its rule, as Update does.
func (s *Service) CheckChange(c EndpointChange) error {
	wrong := []error{c.Validate(), checkTypes(c.Types)}
	if c.URL != nil {
		wrong = append(wrong, s.checkURL(*c.URL))
	}
	switch c.State {
	case "", models.EndpointEnabled, models.EndpointDisabled:
	default:
		wrong = append(wrong, fault.Invalid("state", "oneof", "state must be ENABLED or DISABLED"))
	}
	return errors.Join(wrong...)
}

// ErrNoDelivery is returned if the endpoint has no delivery with the ID.
var ErrNoDelivery error = fault.New(fault.WebhookNotFound, "there is no such webhook delivery")

// ReplayOne is Replay for one delivery, which it returns. Returns ErrNoEndpoint or ErrNoDelivery, and
// INVALID_ARGUMENT if the endpoint is disabled.
func (s *Service) ReplayOne(ctx context.Context, app *models.App, endpointID, id int64, by models.Actor) (*Sent, error) {
	n, err := s.Replay(ctx, app, []int64{id}, Filter{EndpointID: endpointID, Limit: 1}, by)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, ErrNoDelivery
	}
	return s.sent(ctx, endpointID, id)
}

// sent returns a delivery to an endpoint with its event. Returns ErrNoDelivery.
func (s *Service) sent(ctx context.Context, endpointID, id int64) (*Sent, error) {
	var list []*Sent
	err := s.db.Read(ctx).Table("deliveries").Select("deliveries.*, e.uid, e.type, e.subject, e.occurred_at").
		Joins("JOIN events e ON e.id = deliveries.event_id").
		Where("deliveries.endpoint_id = ? AND deliveries.id = ?", endpointID, id).Find(&list).Error
	if err != nil {
		return nil, fault.Wrap(err, "reading webhook delivery")
	}
	if len(list) == 0 {
		return nil, ErrNoDelivery
	}
	return list[0], nil
}
