package graph

import (
	"context"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/subscriptions"
	"rollcall/internal/users"
	"rollcall/models"
)

func (r *mutationResolver) RegisterUser(ctx context.Context, input generated.RegisterUserInput) (*users.Registered, error) {
	return r.users.Register(ctx, auth.From(ctx).App, registration(input))
}

func (r *mutationResolver) UpdateUser(ctx context.Context, input generated.UpdateUserInput) (*models.User, error) {
	if input.Name.IsSet() && input.Name.Value() == nil {
		return nil, fault.Invalid("input.name", "required", "input.name cannot be null; omit it to leave the name unchanged")
	}
	return r.users.Update(ctx, auth.From(ctx).App, input.ID, users.Change{
		Name:        input.Name.Value(),
		AvatarURL:   input.AvatarURL.Value(),
		AvatarGiven: input.AvatarURL.IsSet(),
	})
}

func (r *mutationResolver) RegisterUsers(ctx context.Context, input []*generated.RegisterUserInput) ([]*generated.RegisterUserResult, error) {
	batch := make([]users.Registration, len(input))
	for i, in := range input {
		batch[i] = registration(*in)
	}
	items, err := r.users.RegisterMany(ctx, auth.From(ctx).App, batch)
	if err != nil {
		return nil, err
	}
	results := make([]*generated.RegisterUserResult, len(items))
	for i, item := range items {
		results[i] = registered(input[i].ID, item)
	}
	return results, nil
}

func (r *mutationResolver) ExpireTokens(ctx context.Context, input generated.ExpireTokensInput) ([]*models.ItemResult, error) {
	return r.users.ExpireTokens(ctx, auth.From(ctx).App, input.Ids, input.IssuedBefore, audit.AppServer)
}

func (r *mutationResolver) DeactivateUsers(ctx context.Context, ids []string) ([]*models.ItemResult, error) {
	return r.users.Deactivate(ctx, auth.From(ctx).App, ids, audit.AppServer)
}

func (r *mutationResolver) ReactivateUsers(ctx context.Context, ids []string) ([]*models.ItemResult, error) {
	return r.users.Reactivate(ctx, auth.From(ctx).App, ids, audit.AppServer)
}

func (r *mutationResolver) BanUsers(ctx context.Context, input generated.BanUsersInput) ([]*models.ItemResult, error) {
	return r.users.Ban(ctx, auth.From(ctx).App, input.Ids, users.Sentence{
		Length: time.Duration(input.Minutes) * time.Minute, Reason: input.Reason,
	}, audit.AppServer)
}

func (r *mutationResolver) UnbanUsers(ctx context.Context, ids []string) ([]*models.ItemResult, error) {
	return r.users.Unban(ctx, auth.From(ctx).App, ids, audit.AppServer)
}

func (r *mutationResolver) DisconnectUser(ctx context.Context, input generated.DisconnectUserInput) (int, error) {
	connections, err := connectionIDs(input.UserID, input.DeviceIds)
	if err != nil {
		return 0, err
	}
	accounts, err := r.accounts(ctx, []string{input.UserID})
	if err != nil {
		return 0, err
	}
	return r.presence.Disconnect(ctx, accounts[0], connections, audit.AppServer)
}

func (r *queryResolver) Me(ctx context.Context) (*models.User, error) {
	return auth.From(ctx).User, nil
}

func (r *queryResolver) User(ctx context.Context, id string) (*models.User, error) {
	if err := r.limitProfiles(ctx, id); err != nil {
		return nil, err
	}
	if p := auth.From(ctx); p.IsConfirmed() {
		return r.users.ByID(ctx, p.AppID(), id)
	}
	return auth.ConfirmBy(ctx, func(appID int64) (*models.User, int, error) {
		return r.users.ByIDWithSecret(ctx, appID, id, profilesOnly(ctx))
	})
}

func (r *queryResolver) Users(ctx context.Context, ids []string) ([]*models.User, error) {
	if err := r.limitProfiles(ctx, ids...); err != nil {
		return nil, err
	}
	return r.users.ByIDs(ctx, auth.From(ctx).App.ID, ids)
}

func (r *queryResolver) UserList(ctx context.Context, first *int, after *string, filter *generated.UserFilter) (*page.Connection[*models.User], error) {
	return r.users.List(ctx, auth.From(ctx).App, userFilter(filter), pageRequest(ctx, first, after, userPage))
}

func (r *queryResolver) BannedUsers(ctx context.Context, first *int, after *string) (*page.Connection[*models.User], error) {
	return r.users.Banned(ctx, auth.From(ctx).App, pageRequest(ctx, first, after, userPage))
}

func (r *queryResolver) DeactivatedUsers(ctx context.Context, first *int, after *string) (*page.Connection[*models.User], error) {
	return r.users.Deactivated(ctx, auth.From(ctx).App, pageRequest(ctx, first, after, userPage))
}

func (r *userResolver) State(ctx context.Context, obj *models.User) (models.UserState, error) {
	return obj.State(r.now()), nil
}

func (r *userResolver) Ban(ctx context.Context, obj *models.User) (*generated.Ban, error) {
	if obj.State(r.now()) != models.UserBanned || !maySeePrivate(ctx, obj) {
		return nil, nil
	}
	return &generated.Ban{Until: *obj.BannedUntil, Since: *obj.BannedAt, Reason: obj.BanReason}, nil
}

func (r *userResolver) Status(ctx context.Context, obj *models.User) (*models.UserStatus, error) {
	if err := r.maySeeStatuses(ctx, obj.ExternalID); err != nil {
		return nil, err
	}
	status, err := r.presence.StatusOf(ctx, obj)
	if err != nil {
		return nil, err
	}
	return &status, nil
}

func (r *userResolver) Devices(ctx context.Context, obj *models.User) ([]*models.Device, error) {
	return r.devices(ctx, obj)
}

func (r *userResolver) StatusSubscriptions(ctx context.Context, obj *models.User, first *int, after *string) (*subscriptions.Connection, error) {
	return r.subscriptions.List(ctx, obj, pageRequest(ctx, first, after, listPage))
}

// User returns the resolvers of a user.
func (r *Resolver) User() generated.UserResolver { return &userResolver{r} }

type userResolver struct{ *Resolver }
