package graph

// Which statuses a caller may see is decided in visibility.go, and how often in rates.go.

import (
	"context"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/graph/stream"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/internal/ratelimit"
	"rollcall/internal/subscriptions"
	"rollcall/internal/userlock"
	"rollcall/models"
)

func (r *mutationResolver) Logout(ctx context.Context, input generated.LogoutInput) (*generated.LogoutPayload, error) {
	n, err := r.presence.Logout(ctx, auth.From(ctx).Account(), auth.DeviceFrom(ctx), input.AllDevices)
	if err != nil {
		return nil, err
	}
	return &generated.LogoutPayload{LoggedOutCount: n}, nil
}

func (r *mutationResolver) SetStatus(ctx context.Context, input generated.SetStatusInput) (*generated.SetStatusPayload, error) {
	if err := r.limitRate(ctx, settingStatus, 1); err != nil {
		return nil, err
	}
	user, err := r.subject(ctx, input.UserID)
	if err != nil {
		return nil, err
	}
	current, err := r.presence.SetStatus(ctx, status.AccountOf(user), input.CustomStatus)
	if err != nil {
		return nil, err
	}
	return &generated.SetStatusPayload{Status: &current}, nil
}

func (r *mutationResolver) SubscribeStatus(ctx context.Context, input generated.SubscribeStatusInput) (*subscriptions.Subscribed, error) {
	owner, err := r.subscriber(ctx, input.UserID, subscribing)
	if err != nil {
		return nil, err
	}
	if err := r.limitProfiles(ctx, input.TargetIds...); err != nil {
		return nil, err // the list of subscriptions reveals statuses
	}
	return r.subscriptions.Subscribe(ctx, auth.From(ctx).App, owner, input.TargetIds)
}

func (r *mutationResolver) UnsubscribeStatus(ctx context.Context, input generated.UnsubscribeStatusInput) (*generated.UnsubscribeStatusPayload, error) {
	owner, err := r.subscriber(ctx, input.UserID, unsubscribing)
	if err != nil {
		return nil, err
	}
	var n int
	if input.All {
		n, err = r.subscriptions.UnsubscribeAll(ctx, owner)
	} else {
		n, err = r.subscriptions.Unsubscribe(ctx, auth.From(ctx).App, owner, input.TargetIds)
	}
	if err != nil {
		return nil, err
	}
	return &generated.UnsubscribeStatusPayload{EndedCount: n}, nil
}

// subscriber returns the user whose subscriptions a mutation changes, see subject, and counts the
// call by the rule. It returns errFeatureDisabled without the app's statusQueryEnabled.
func (r *Resolver) subscriber(ctx context.Context, userID string, rule ratelimit.Rule) (*models.User, error) {
	if err := mayQueryStatuses(auth.From(ctx).App); err != nil {
		return nil, err
	}
	if err := r.limitRate(ctx, rule, 1); err != nil {
		return nil, err
	}
	return r.subject(ctx, userID)
}

// subject returns the user for which an operation acts: with an app token the one with the given ID,
// with a user token the caller. It returns fault.UserNotFound or fault.UserDeactivated for the ID of
// an App Server, and the errors of self.
func (r *Resolver) subject(ctx context.Context, userID string) (*models.User, error) {
	id, err := self(ctx, userID)
	if err != nil {
		return nil, err
	}
	p := auth.From(ctx)
	if p.Kind == auth.User {
		return p.User, nil
	}
	user, err := r.users.ByID(ctx, p.App.ID, id)
	switch {
	case err != nil:
		return nil, err
	case user == nil:
		return nil, userlock.Unknown(id)
	case user.DeactivatedAt != nil:
		return nil, userlock.Deactivated(id)
	}
	return user, nil
}

func (r *queryResolver) UserStatuses(ctx context.Context, ids []string) ([]*models.UserStatus, error) {
	if err := r.maySeeStatuses(ctx, ids...); err != nil {
		return nil, err
	}
	return r.presence.Statuses(ctx, auth.From(ctx).App.ID, ids)
}

func (r *subscriptionResolver) StatusChanged(ctx context.Context) (<-chan *models.UserStatus, error) {
	return stream.From[*models.UserStatus](ctx, func(sink fanout.Sink) (func(), error) {
		p := auth.From(ctx)
		return r.presence.WatchCircle(ctx, p.App, p.Account(), sink)
	})
}

func (r *subscriptionResolver) UserStatus(ctx context.Context, ids []string) (<-chan *models.UserStatus, error) {
	return stream.From[*models.UserStatus](ctx, func(sink fanout.Sink) (func(), error) {
		if err := r.maySeeStatuses(ctx, ids...); err != nil {
			return nil, err
		}
		accounts, err := r.accounts(ctx, ids)
		if err != nil {
			return nil, err
		}
		stop, err := r.presence.WatchUsers(ctx, accounts, sink, true)
		if err != nil {
			return nil, err
		}
		if !asksForOthers(ctx, ids...) {
			return stop, nil
		}
		stopFollowing := r.presence.WhileQueried(auth.From(ctx).App, func() { sink.(fanout.Ender).End(errFeatureDisabled) })
		return func() {
			stopFollowing()
			stop()
		}, nil
	})
}

func (r *subscriptionResolver) UserChanged(ctx context.Context, ids []string) (<-chan *models.User, error) {
	return stream.From[*models.User](ctx, func(sink fanout.Sink) (func(), error) {
		if err := r.limitProfiles(ctx, ids...); err != nil {
			return nil, err
		}
		return r.users.Watch(ctx, auth.From(ctx).App.ID, ids, sink)
	})
}

func (r *subscriptionResolver) AppStatusChanged(ctx context.Context) (<-chan *models.UserStatus, error) {
	return stream.From[*models.UserStatus](ctx, func(sink fanout.Sink) (func(), error) {
		return r.presence.WatchApp(ctx, auth.From(ctx).App.ID, sink)
	})
}

// Subscription returns the resolvers of subscriptions.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return &subscriptionResolver{r} }

type subscriptionResolver struct{ *Resolver }
