package graph

import (
	"context"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/internal/presence/status"
	"rollcall/internal/subscriptions"
	"rollcall/internal/userlock"
	"rollcall/internal/users"
	"rollcall/models"
)

func (r *mutationResolver) RegisterUser(ctx context.Context, input generated.RegisterUserInput) (*users.Registered, error) {
	if err := r.limitRegistrations(ctx, 1); err != nil {
		return nil, err
	}
	return r.issuing(ctx).Register(ctx, auth.From(ctx).App, registration(input))
}

func (r *mutationResolver) RegisterUsers(ctx context.Context, input generated.RegisterUsersInput) (*generated.RegisterUsersPayload, error) {
	if err := r.limitRegistrations(ctx, len(input.Users)); err != nil {
		return nil, err
	}
	in := make([]users.Registration, len(input.Users))
	for i, user := range input.Users {
		in[i] = registration(*user)
	}
	items, err := r.issuing(ctx).RegisterMany(ctx, auth.From(ctx).App, in)
	return &generated.RegisterUsersPayload{Results: registered(in, items)}, err
}

func (r *mutationResolver) UpdateUser(ctx context.Context, input generated.UpdateUserInput) (*generated.UpdateUserPayload, error) {
	user, err := r.users.Update(ctx, auth.From(ctx).App, input.UserID, users.Change{
		Name: input.Name, AvatarURL: input.AvatarURL, RemoveAvatar: input.RemoveAvatar,
	})
	return &generated.UpdateUserPayload{User: user}, err
}

func (r *mutationResolver) UpdateMe(ctx context.Context, input generated.UpdateMeInput) (*generated.UpdateMePayload, error) {
	if err := r.limitRate(ctx, editingProfile, 1); err != nil {
		return nil, err
	}
	p := auth.From(ctx)
	user, err := r.users.UpdateOwn(ctx, p.App, p.User.ExternalID, users.Change{
		Name: input.Name, AvatarURL: input.AvatarURL, RemoveAvatar: input.RemoveAvatar,
	})
	return &generated.UpdateMePayload{User: user}, err
}

func (r *mutationResolver) ExpireTokens(ctx context.Context, input generated.ExpireTokensInput) (*generated.ExpireTokensPayload, error) {
	results, err := r.users.ExpireTokens(ctx, auth.From(ctx).App, input.UserIds, input.IssuedBefore, audit.AppServer)
	return &generated.ExpireTokensPayload{Results: results}, err
}

func (r *mutationResolver) DeactivateUsers(ctx context.Context, input generated.DeactivateUsersInput) (*generated.DeactivateUsersPayload, error) {
	results, err := r.users.Deactivate(ctx, auth.From(ctx).App, input.UserIds, audit.AppServer)
	return &generated.DeactivateUsersPayload{Results: results}, err
}

func (r *mutationResolver) ReactivateUsers(ctx context.Context, input generated.ReactivateUsersInput) (*generated.ReactivateUsersPayload, error) {
	results, err := r.users.Reactivate(ctx, auth.From(ctx).App, input.UserIds, audit.AppServer)
	return &generated.ReactivateUsersPayload{Results: results}, err
}

func (r *mutationResolver) BanUsers(ctx context.Context, input generated.BanUsersInput) (*generated.BanUsersPayload, error) {
	results, err := r.users.Ban(ctx, auth.From(ctx).App, input.UserIds, users.Sentence{
		Length: time.Duration(input.Minutes) * time.Minute, Permanent: input.Permanent, Reason: optional(input.Reason),
	}, audit.AppServer)
	return &generated.BanUsersPayload{Results: results}, err
}

func (r *mutationResolver) UnbanUsers(ctx context.Context, input generated.UnbanUsersInput) (*generated.UnbanUsersPayload, error) {
	results, err := r.users.Unban(ctx, auth.From(ctx).App, input.UserIds, audit.AppServer)
	return &generated.UnbanUsersPayload{Results: results}, err
}

func (r *mutationResolver) DisconnectUser(ctx context.Context, input generated.DisconnectUserInput) (*generated.DisconnectUserPayload, error) {
	connections, err := connectionIDs(input.UserID, input.DeviceIds) // nil for all
	if err != nil {
		return nil, err
	}
	user, err := r.users.ByID(ctx, auth.From(ctx).App.ID, input.UserID)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, userlock.Unknown(input.UserID)
	}
	n, err := r.presence.Disconnect(ctx, status.AccountOf(user), connections, audit.AppServer)
	return &generated.DisconnectUserPayload{User: user, DisconnectedCount: n}, err
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

func (r *queryResolver) UserList(ctx context.Context, first *int, after *string, filter *generated.UserFilter, orderBy *generated.ListOrder) (*page.Connection[*models.User], error) {
	return r.users.List(ctx, auth.From(ctx).App, userFilter(filter), inOrder(pageRequest(ctx, first, after), orderBy))
}

func (r *queryResolver) BannedUsers(ctx context.Context, first *int, after *string) (*page.Connection[*models.User], error) {
	return r.users.Banned(ctx, auth.From(ctx).App, pageRequest(ctx, first, after))
}

func (r *queryResolver) DeactivatedUsers(ctx context.Context, first *int, after *string) (*page.Connection[*models.User], error) {
	return r.users.Deactivated(ctx, auth.From(ctx).App, pageRequest(ctx, first, after))
}

func (r *userResolver) State(ctx context.Context, obj *models.User) (models.UserState, error) {
	return obj.State(r.now()), nil
}

func (r *userResolver) Ban(ctx context.Context, obj *models.User) (*generated.Ban, error) {
	if obj.State(r.now()) != models.UserBanned || !maySeePrivate(ctx, obj) {
		return nil, nil
	}
	return &generated.Ban{Until: obj.BanEnd(), Since: *obj.BannedAt, Reason: obj.BanReason}, nil
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
	return r.subscriptions.List(ctx, obj, pageRequest(ctx, first, after))
}

func (r *userResolver) Bans(ctx context.Context, obj *models.User, first *int, after *string) (*users.BanConnection, error) {
	return r.users.Bans(ctx, obj, pageRequest(ctx, first, after))
}

func (r *banRecordResolver) State(_ context.Context, obj *models.BanRecord) (models.BanState, error) {
	return obj.State(r.now()), nil
}

func (r *banRecordResolver) EndedAt(_ context.Context, obj *models.BanRecord) (*models.Time, error) {
	return obj.End(r.now()), nil
}

// BanRecord returns the resolvers of a ban in a history.
func (r *Resolver) BanRecord() generated.BanRecordResolver { return &banRecordResolver{r} }

type banRecordResolver struct{ *Resolver }

// User returns the resolvers of a user.
func (r *Resolver) User() generated.UserResolver { return &userResolver{r} }

type userResolver struct{ *Resolver }
