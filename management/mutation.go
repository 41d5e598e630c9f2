package management

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/management/generated"
	"rollcall/models"
)

// CreateApp creates an app.
func (r *mutationResolver) CreateApp(ctx context.Context, in generated.CreateAppInput) (*generated.CreateAppPayload, error) {
	app, secret, err := r.Apps.Create(ctx, apps.NewApp{Name: in.Name, Environment: in.Environment, Edition: in.Edition}, callOf(ctx).by)
	if err != nil {
		return nil, inInput(err, nil)
	}
	return &generated.CreateAppPayload{App: app, Secret: secret}, nil
}

// UpdateAppSettings changes settings of an app.
func (r *mutationResolver) UpdateAppSettings(ctx context.Context, in generated.UpdateAppSettingsInput) (*generated.UpdateAppSettingsPayload, error) {
	app, err := r.appOf(ctx, "input.appKey", in.AppKey)
	if err != nil {
		return nil, err
	}
	values, err := settingValues(in.Settings)
	if err != nil {
		return nil, err
	}
	app, err = r.Apps.Set(ctx, app.Key, values, callOf(ctx).by)
	if refusal, ok := fault.As(err); ok && refusal.Field() != nil {
		return nil, inInput(err, map[string]string{*refusal.Field(): "settings." + *refusal.Field()})
	}
	switch {
	case err != nil:
		return nil, err
	case app == nil: // deleted concurrently
		return nil, errNotFound("input.appKey", "app")
	}
	return &generated.UpdateAppSettingsPayload{App: app}, nil
}

// settingValues returns the settings that are given as texts, by the names of the schema, which are those
// of the rules.
func settingValues(in *generated.AppSettingsInput) (map[string]string, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // not floats, whose texts may have exponents
	if err := decoder.Decode(&given); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, value := range given {
		values[name] = fmt.Sprint(value)
	}
	return values, nil
}

// RotateAppSecret gives an app a new secret.
func (r *mutationResolver) RotateAppSecret(ctx context.Context, in generated.RotateAppSecretInput) (*generated.RotateAppSecretPayload, error) {
	app, err := r.appOf(ctx, "input.appKey", in.AppKey)
	if err != nil {
		return nil, err
	}
	// The rule refuses what is too long; this must not overflow.
	overlap := time.Duration(max(math.MinInt32, min(in.OverlapSeconds, math.MaxInt32))) * time.Second
	app, secret, err := r.Apps.RotateSecret(ctx, app.Key, overlap, callOf(ctx).by)
	switch {
	case err != nil:
		return nil, inInput(err, map[string]string{"overlap": "overlapSeconds"})
	case app == nil: // deleted concurrently
		return nil, errNotFound("input.appKey", "app")
	}
	return &generated.RotateAppSecretPayload{App: app, Secret: secret}, nil
}

// DisableApp disables an app.
func (r *mutationResolver) DisableApp(ctx context.Context, in generated.DisableAppInput) (*generated.DisableAppPayload, error) {
	app, changed, err := r.setDisabled(ctx, in.AppKey, r.Apps.Disable)
	if err != nil {
		return nil, err
	}
	return &generated.DisableAppPayload{App: app, Changed: changed}, nil
}

// EnableApp enables an app.
func (r *mutationResolver) EnableApp(ctx context.Context, in generated.EnableAppInput) (*generated.EnableAppPayload, error) {
	app, changed, err := r.setDisabled(ctx, in.AppKey, r.Apps.Enable)
	if err != nil {
		return nil, err
	}
	return &generated.EnableAppPayload{App: app, Changed: changed}, nil
}

// setDisabled calls set, which disables or enables an app, for the app with that key.
func (r *mutationResolver) setDisabled(ctx context.Context, key string, set func(context.Context, string, models.Actor) (*models.App, bool, error)) (*models.App, bool, error) {
	app, err := r.appOf(ctx, "input.appKey", key)
	if err != nil {
		return nil, false, err
	}
	app, changed, err := set(ctx, app.Key, callOf(ctx).by)
	if err == nil && app == nil { // deleted concurrently
		err = errNotFound("input.appKey", "app")
	}
	return app, changed, err
}

// DeleteApp begins to delete an app.
func (r *mutationResolver) DeleteApp(ctx context.Context, in generated.DeleteAppInput) (*generated.DeleteAppPayload, error) {
	app, err := r.appOf(ctx, "input.appKey", in.AppKey)
	if err != nil {
		return nil, err
	}
	app, err = r.Apps.Delete(ctx, app.Key, in.Name, callOf(ctx).by)
	switch {
	case err != nil:
		return nil, inInput(err, nil)
	case app == nil: // deleted concurrently
		return nil, errNotFound("input.appKey", "app")
	}
	return &generated.DeleteAppPayload{App: app}, nil
}

// InviteOperator invites an operator.
func (r *mutationResolver) InviteOperator(ctx context.Context, in generated.InviteOperatorInput) (*generated.InviteOperatorPayload, error) {
	grant, err := r.grantOf(ctx, in.Role, in.AllApps, in.AppKeys)
	if err != nil {
		return nil, err
	}
	list, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	invitation, token, err := r.Operators.Invite(ctx, in.Name, grant, callOf(ctx).by)
	if err != nil {
		return nil, inInput(err, grantPaths)
	}
	return &generated.InviteOperatorPayload{Invitation: viewInvitation(list, invitation), Link: callOf(ctx).link(token)}, nil
}

// RevokeInvitation revokes an invitation.
func (r *mutationResolver) RevokeInvitation(ctx context.Context, in generated.RevokeInvitationInput) (*generated.RevokeInvitationPayload, error) {
	revoked, err := r.Operators.RevokeInvitation(ctx, rowOf(in.ID), callOf(ctx).by)
	if err != nil {
		return nil, err
	}
	return &generated.RevokeInvitationPayload{Revoked: revoked != nil}, nil
}

// SetOperatorRole changes an operator's role and apps.
func (r *mutationResolver) SetOperatorRole(ctx context.Context, in generated.SetOperatorRoleInput) (*generated.SetOperatorRolePayload, error) {
	if _, err := r.operatorOf(ctx, "input.name", in.Name); err != nil {
		return nil, err
	}
	grant, err := r.grantOf(ctx, in.Role, in.AllApps, in.AppKeys)
	if err != nil {
		return nil, err
	}
	changed, err := r.Operators.SetRole(ctx, in.Name, grant, callOf(ctx).by)
	if err != nil {
		return nil, inInput(err, grantPaths)
	}
	view, err := r.viewOperator(ctx, "input.name", in.Name)
	if err != nil {
		return nil, err
	}
	return &generated.SetOperatorRolePayload{Operator: view, Changed: changed}, nil
}

// DeleteOperator deletes an operator.
func (r *mutationResolver) DeleteOperator(ctx context.Context, in generated.DeleteOperatorInput) (*generated.DeleteOperatorPayload, error) {
	if _, err := r.operatorOf(ctx, "input.name", in.Name); err != nil {
		return nil, err
	}
	if err := r.Operators.Delete(ctx, in.Name, callOf(ctx).by); err != nil {
		return nil, inInput(err, grantPaths)
	}
	return &generated.DeleteOperatorPayload{Name: in.Name}, nil
}

// EndOperatorSessions ends an operator's sessions.
func (r *mutationResolver) EndOperatorSessions(ctx context.Context, in generated.EndOperatorSessionsInput) (*generated.EndOperatorSessionsPayload, error) {
	o, err := r.operatorOf(ctx, "input.name", in.Name)
	if err != nil {
		return nil, err
	}
	ended, err := r.Operators.EndSessions(ctx, o.ID, 0, callOf(ctx).by)
	if err != nil {
		return nil, err
	}
	return &generated.EndOperatorSessionsPayload{Ended: ended}, nil
}

// RevokeAPIKey revokes a key: the one of the request, or, for owners, any.
func (r *mutationResolver) RevokeAPIKey(ctx context.Context, in generated.RevokeAPIKeyInput) (*generated.RevokeAPIKeyPayload, error) {
	call := callOf(ctx)
	apps, err := r.appList(ctx)
	if err != nil {
		return nil, err
	}
	owner := call.Operator
	if id := rowOf(in.ID); id != call.Key.ID {
		if owner, err = r.ownerOf(ctx, id); err != nil {
			return nil, err
		}
	}
	var revoked *models.OperatorKey
	if owner != nil {
		if revoked, err = r.Operators.RevokeKey(ctx, owner.ID, rowOf(in.ID), call.by); err != nil {
			return nil, err
		}
	}
	if revoked == nil {
		return nil, errNotFound("input.id", "API key")
	}
	return &generated.RevokeAPIKeyPayload{APIKey: viewKey(apps, owner.Name, revoked)}, nil
}

// ownerOf returns the operator of another key than that of the request, or nil if there is none or the
// caller may not know it.
func (r *mutationResolver) ownerOf(ctx context.Context, key int64) (*models.Operator, error) {
	if operators.Owners.Lacks(callOf(ctx).Grant) != operators.LacksNothing {
		return nil, nil
	}
	return r.Operators.ByKeyID(ctx, key)
}
