package graph

import (
	"context"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/users"
)

func (r *mutationResolver) IssueUserToken(ctx context.Context, input generated.IssueUserTokenInput) (*users.Issued, error) {
	return r.issuing(ctx).IssueToken(ctx, auth.From(ctx).App, users.TokenRequest{
		UserID: input.UserID, TTL: time.Duration(input.TTLSeconds) * time.Second,
	})
}

// issuing returns the rules of users that issue tokens under the secret of the caller's own token.
func (r *Resolver) issuing(ctx context.Context) *users.Service {
	return r.users.IssuingUnder(auth.From(ctx).SecretGeneration())
}

func (r *queryResolver) TokenInfo(ctx context.Context, token string) (*generated.TokenInfo, error) {
	info, err := r.users.TokenInfo(ctx, auth.From(ctx).App, token)
	if err != nil {
		return nil, err
	}
	out := &generated.TokenInfo{Active: info.Refusal == nil, User: info.User, Error: info.Refusal}
	if info.User != nil {
		out.UserID = &info.User.ExternalID
	}
	if info.IssuedAt != 0 {
		out.IssuedAt = &info.IssuedAt
	}
	if info.ExpiresAt != 0 {
		out.ExpiresAt = &info.ExpiresAt
	}
	return out, nil
}
