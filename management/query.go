package management

import (
	"context"
	"slices"
	"strings"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/management/generated"
	"rollcall/models"
)

// resolver implements the fields of the schema.
type resolver struct{ *Server }

type (
	queryResolver      struct{ *Server }
	mutationResolver   struct{ *Server }
	appResolver        struct{ *Server }
	auditEntryResolver struct{ *Server }
)

// Query returns the resolvers of Query.
func (r *resolver) Query() generated.QueryResolver { return &queryResolver{r.Server} }

// Mutation returns the resolvers of Mutation.
func (r *resolver) Mutation() generated.MutationResolver { return &mutationResolver{r.Server} }

// App returns the resolvers of App.
func (r *resolver) App() generated.AppResolver { return &appResolver{r.Server} }

// AuditEntry returns the resolvers of AuditEntry.
func (r *resolver) AuditEntry() generated.AuditEntryResolver { return &auditEntryResolver{r.Server} }

// Viewer returns the request's key and what it may do.
func (r *queryResolver) Viewer(ctx context.Context) (*generated.Viewer, error) {
	call := callOf(ctx)
	list, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	return &generated.Viewer{
		Operator: viewOperator(list, call.Operator), APIKey: viewKey(list, call.Operator.Name, call.Key),
		Role: call.Grant.Role, AllApps: call.Grant.AllApps, Apps: named(list, call.Grant),
	}, nil
}

// Apps returns a page of the apps that the key is for.
func (r *queryResolver) Apps(ctx context.Context, first int, after *string) (*apps.Connection, error) {
	request, err := pageRequest(first, after)
	if err != nil {
		return nil, err
	}
	return r.Server.Apps.Page(ctx, callOf(ctx).Grant, request)
}

// App returns an app.
func (r *queryResolver) App(ctx context.Context, key string) (*models.App, error) {
	return r.appOf(ctx, "key", key)
}

// Operators returns all operators.
func (r *queryResolver) Operators(ctx context.Context) ([]*generated.Operator, error) {
	covered, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	list, err := r.Server.Operators.List(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]*generated.Operator, len(list))
	for i, o := range list {
		views[i] = viewOperator(covered, o)
	}
	return views, nil
}

// Operator returns the operator with that name.
func (r *queryResolver) Operator(ctx context.Context, name string) (*generated.Operator, error) {
	return r.viewOperator(ctx, "name", name)
}

// viewOperator returns the operator with that name, which field of the arguments has.
func (s *Server) viewOperator(ctx context.Context, field, name string) (*generated.Operator, error) {
	o, err := s.operatorOf(ctx, field, name)
	if err != nil {
		return nil, err
	}
	covered, err := s.appList(ctx)
	if err != nil {
		return nil, err
	}
	return viewOperator(covered, o), nil
}

func (s *Server) operatorOf(ctx context.Context, field, name string) (*models.Operator, error) {
	o, err := s.Operators.ByName(ctx, name)
	if err == nil && o == nil {
		err = errNotFound(field, "operator")
	}
	return o, err
}

// Invitations returns the open invitations.
func (r *queryResolver) Invitations(ctx context.Context) ([]*generated.Invitation, error) {
	covered, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	list, err := r.Server.Operators.Invitations(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]*generated.Invitation, len(list))
	for i, invitation := range list {
		views[i] = viewInvitation(covered, invitation)
	}
	return views, nil
}

// APIKeys returns the keys of all operators.
func (r *queryResolver) APIKeys(ctx context.Context) ([]*generated.APIKey, error) {
	covered, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	owners, err := r.Server.Operators.List(ctx)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, o := range owners {
		names[o.ID] = o.Name
	}
	list, err := r.Server.Operators.AllKeys(ctx)
	if err != nil {
		return nil, err
	}
	var views []*generated.APIKey
	for _, k := range list {
		if name, known := names[k.OperatorID]; known { // not for an operator that was deleted concurrently
			views = append(views, viewKey(covered, name, k))
		}
	}
	return views, nil
}

// Audit returns a page of the audit.
func (r *queryResolver) Audit(ctx context.Context, first int, after *string, in *generated.AuditFilter) (*audit.Connection, error) {
	request, err := pageRequest(first, after)
	if err != nil {
		return nil, err
	}
	filter := audit.Filter{}
	if in != nil {
		filter = audit.Filter{
			Actor: given(in.Actor), Action: given(in.Action), Target: given(in.Target), Text: given(in.Text), From: given(in.From), Until: given(in.Until),
		}
		if in.Text != nil {
			if err := validate.Value("filter.text", *in.Text, "min=1,max=128"); err != nil {
				return nil, err
			}
		}
		if in.Action != nil && !slices.Contains(audit.Actions(), filter.Action) {
			return nil, fault.Invalid("filter.action", "oneof", "there is no action %q; the actions are %s", filter.Action, strings.Join(audit.Actions(), ", "))
		}
		if in.AppKey != nil {
			if filter.App, err = r.appOf(ctx, "filter.appKey", *in.AppKey); err != nil {
				return nil, err
			}
		}
	}
	if call := callOf(ctx); !call.Grant.AllApps {
		list, err := r.appList(ctx)
		if err != nil {
			return nil, err
		}
		filter.Within = make([]int64, len(list)) // not nil, which would select all
		for i, app := range list {
			filter.Within[i] = app.ID
		}
	}
	return r.Server.Audit.List(ctx, filter, request)
}

// given returns the value of an optional field, or its zero value.
func given[T any](value *T) (v T) {
	if value != nil {
		v = *value
	}
	return v
}

// RegisteredUserCount returns the number of users that count towards the app's limit.
func (r *appResolver) RegisteredUserCount(ctx context.Context, app *models.App) (int, error) {
	counts, err := r.Apps.UserCounts(ctx, app)
	return counts[app.ID].Registered, err
}

// DisabledAt returns since when the app is disabled, or nil if it is not.
func (r *appResolver) DisabledAt(_ context.Context, app *models.App) (*models.Time, error) {
	if !app.Disabled() {
		return nil, nil
	}
	return &app.DisabledAt, nil
}

// DeletingAt returns since when the app is being deleted, or nil if it is not.
func (r *appResolver) DeletingAt(_ context.Context, app *models.App) (*models.Time, error) {
	if !app.Deleting() {
		return nil, nil
	}
	return &app.DeletingAt, nil
}

// PreviousSecretEndsAt returns when the previous secret ends, or nil if it has ended.
func (r *appResolver) PreviousSecretEndsAt(_ context.Context, app *models.App) (*models.Time, error) {
	if app.PreviousSecretEndsAt <= models.TimeOf(r.Clock()) {
		return nil, nil
	}
	return &app.PreviousSecretEndsAt, nil
}

// WebhookEndpoints returns the app's endpoints.
func (r *appResolver) WebhookEndpoints(ctx context.Context, app *models.App) ([]*generated.WebhookEndpoint, error) {
	list, err := r.Webhooks.List(ctx, app)
	if err != nil {
		return nil, err
	}
	views := make([]*generated.WebhookEndpoint, len(list))
	for i, e := range list {
		views[i] = &generated.WebhookEndpoint{
			URL: e.URL, Description: e.Description, Enabled: e.State == models.EndpointEnabled, CreatedAt: e.CreatedAt,
		}
		if e.EventTypes != "" {
			views[i].EventTypes = strings.Split(e.EventTypes, ",")
		}
		if e.FailingSince != 0 {
			views[i].FailingSince = &e.FailingSince
		}
	}
	return views, nil
}

// APIKey returns the name of the key that the actor used.
func (r *auditEntryResolver) APIKey(_ context.Context, e *models.AuditEntry) (*string, error) {
	if e.ActorKey == "" {
		return nil, nil
	}
	return &e.ActorKey, nil
}

// App returns the app that an entry concerns.
func (r *auditEntryResolver) App(ctx context.Context, e *models.AuditEntry) (*models.App, error) {
	if e.AppID == nil || !callOf(ctx).Grant.Covers(*e.AppID) {
		return nil, nil
	}
	return r.Apps.ByID(ctx, *e.AppID)
}
