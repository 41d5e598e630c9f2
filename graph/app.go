package graph

import (
	"context"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/apps"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/models"
)

func (r *appResolver) OnlineUserCount(ctx context.Context, obj *models.App) (*int, error) {
	n, err := r.presence.OnlineCount(ctx, obj.ID)
	return &n, err
}

func (r *appResolver) RegisteredUserCount(ctx context.Context, obj *models.App) (int, error) {
	counts, err := r.users.Counts(ctx, obj)
	return counts.Registered, err
}

func (r *mutationResolver) IssueAppToken(ctx context.Context, input generated.IssueAppTokenInput) (*generated.IssueAppTokenPayload, error) {
	ttl := apps.DefaultTokenTTL
	if input.TTLSeconds != 0 {
		ttl = time.Duration(input.TTLSeconds) * time.Second
	}
	token, expires, err := r.apps.IssueTokenTo(ctx, clientaddr.From(ctx), input.AppKey, input.AppSecret, ttl)
	if fault.CodeOf(err) == fault.RateLimited {
		r.wrongSecrets.Inc()
	}
	return &generated.IssueAppTokenPayload{Token: token, ExpiresAt: expires}, err
}

func (r *queryResolver) App(ctx context.Context) (*models.App, error) {
	return auth.From(ctx).App, nil
}

// App returns the resolvers of an app.
func (r *Resolver) App() generated.AppResolver { return &appResolver{r} }

// Mutation returns the resolvers of mutations.
func (r *Resolver) Mutation() generated.MutationResolver { return &mutationResolver{r} }

// Query returns the resolvers of queries.
func (r *Resolver) Query() generated.QueryResolver { return &queryResolver{r} }

type (
	appResolver      struct{ *Resolver }
	mutationResolver struct{ *Resolver }
	queryResolver    struct{ *Resolver }
)
