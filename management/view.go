package management

import (
	"context"
	"strconv"

	"rollcall/internal/operators"
	"rollcall/management/generated"
	"rollcall/models"
)

// idOf returns the ID of a row as the schema has it.
func idOf(id int64) string { return strconv.FormatInt(id, 10) }

// rowOf returns the ID of the row that an ID of the schema names, or 0 if it is malformed.
func rowOf(id string) int64 {
	row, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return row
}

// appOf returns the app with that key, which field of the arguments names. Returns NOT_FOUND for an
// unknown app and for one that the request's key is not for, so that keys cannot find out which other
// apps exist.
func (s *Server) appOf(ctx context.Context, field, key string) (*models.App, error) {
	app, err := s.Apps.ByKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if app == nil || !callOf(ctx).Grant.Covers(app.ID) {
		return nil, errNotFound(field, "app")
	}
	return app, nil
}

// appList returns the apps that the request's key is for.
func (s *Server) appList(ctx context.Context) ([]*models.App, error) {
	list, err := s.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	return callOf(ctx).Grant.Only(list), nil
}

// named returns the apps of a grant that names apps. list has the apps that the request may see.
func named(list []*models.App, grant models.Grant) []*models.App {
	if grant.AllApps {
		return nil
	}
	return grant.Only(list)
}

// grantOf returns the grant of an input. A key that names no app becomes the ID of no app, which the
// rules refuse.
func (s *Server) grantOf(ctx context.Context, role models.Role, allApps bool, keys []string) (models.Grant, error) {
	grant := models.Grant{Role: role, AllApps: allApps}
	if len(keys) == 0 {
		return grant, nil
	}
	list, err := s.appList(ctx)
	if err != nil {
		return grant, err
	}
	ids := map[string]int64{}
	for _, app := range list {
		ids[app.Key] = app.ID
	}
	for _, key := range keys {
		grant.AppIDs = append(grant.AppIDs, ids[key])
	}
	return grant, nil
}

// grantPaths are the paths of what the rules refuse in an input with a grant.
var grantPaths = map[string]string{"apps": "appKeys", "operator": "name"}

func viewOperator(list []*models.App, o *models.Operator) *generated.Operator {
	return &generated.Operator{
		Name: o.Name, Role: o.Role, AllApps: o.AllApps, Apps: named(list, o.Grant),
		HasSecondFactor: o.HasSecondFactor, PasswordTemporary: o.PasswordTemporary, CreatedAt: o.CreatedAt,
	}
}

// viewKey returns a key of the operator with that name.
func viewKey(list []*models.App, operator string, k *models.OperatorKey) *generated.APIKey {
	view := &generated.APIKey{
		ID: idOf(k.ID), Operator: operator, Name: k.Name, Prefix: k.Prefix, Role: k.Role, AllApps: k.AllApps, Apps: named(list, k.Grant),
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
	}
	if k.LastUsedAt != 0 {
		view.LastUsedAt, view.LastUsedAddress = &k.LastUsedAt, &k.LastUsedAddress
	}
	return view
}

func viewInvitation(list []*models.App, i *models.OperatorInvitation) *generated.Invitation {
	return &generated.Invitation{
		ID: idOf(i.ID), Name: i.Name, Role: i.Role, AllApps: i.AllApps, Apps: named(list, i.Grant),
		InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt, ExpiresAt: i.CreatedAt.Add(operators.InvitationLifetime),
	}
}
