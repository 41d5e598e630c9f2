package graph

// Which statuses a caller may see is decided in visibility.go, and how often in rates.go.

import (
	"context"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/graph/stream"
	"rollcall/internal/fanout"
	"rollcall/internal/subscriptions"
	"rollcall/models"
)

func (r *mutationResolver) Logout(ctx context.Context, allDevices *bool) (bool, error) {
	all := allDevices != nil && *allDevices
	if err := r.presence.Logout(ctx, auth.From(ctx).Account(), auth.DeviceFrom(ctx), all); err != nil {
		return false, err
	}
	return true, nil
}

func (r *mutationResolver) SetStatus(ctx context.Context, customStatus string) (*models.UserStatus, error) {
	if err := r.limitRate(ctx, settingStatus, 1); err != nil {
		return nil, err
	}
	status, err := r.presence.SetStatus(ctx, auth.From(ctx).Account(), customStatus)
	if err != nil {
		return nil, err
	}
	return &status, nil
}

func (r *mutationResolver) SubscribeStatus(ctx context.Context, ids []string) (*subscriptions.Subscribed, error) {
	p := auth.From(ctx)
	if err := mayQueryStatuses(p.App); err != nil {
		return nil, err
	}
	if err := r.limitRate(ctx, subscribing, 1); err != nil {
		return nil, err
	}
	if err := r.limitProfiles(ctx, ids...); err != nil {
		return nil, err // the list of subscriptions reveals statuses
	}
	return r.subscriptions.Subscribe(ctx, p.App, p.User, ids)
}

func (r *mutationResolver) UnsubscribeStatus(ctx context.Context, ids []string) (int, error) {
	p := auth.From(ctx)
	if err := mayQueryStatuses(p.App); err != nil {
		return 0, err
	}
	if err := r.limitRate(ctx, unsubscribing, 1); err != nil {
		return 0, err
	}
	return r.subscriptions.Unsubscribe(ctx, p.App, p.User, ids)
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

func (r *subscriptionResolver) AppStatusChanged(ctx context.Context) (<-chan *models.UserStatus, error) {
	return stream.From[*models.UserStatus](ctx, func(sink fanout.Sink) (func(), error) {
		return r.presence.WatchApp(ctx, auth.From(ctx).App.ID, sink)
	})
}

// Subscription returns the resolvers of subscriptions.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return &subscriptionResolver{r} }

type subscriptionResolver struct{ *Resolver }
