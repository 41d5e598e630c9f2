package graph

import (
	"context"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/graph/stream"
	"rollcall/internal/audit"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/ratelimit"
	"rollcall/internal/relations"
	"rollcall/models"
)

// self returns the ID of the user for which an operation acts: with an app token the given userId,
// which is required, with a user token the caller. A user may give no userId but its own.
func self(ctx context.Context, userID string) (string, error) {
	p := auth.From(ctx)
	switch {
	case p.Kind == auth.AppServer && userID == "":
		return "", fault.Invalid("input.userId", "required", "input.userId is required with an app token")
	case p.Kind == auth.AppServer:
		return userID, nil
	case userID != "" && userID != p.User.ExternalID:
		return "", fault.New(fault.Forbidden, "a user may act only for itself")
	}
	return p.User.ExternalID, nil
}

// actor returns the user that an operation acts for, as self does, and counts the operation by rule.
func (r *Resolver) actor(ctx context.Context, userID string, rule ratelimit.Rule) (string, error) {
	id, err := self(ctx, userID)
	if err != nil {
		return "", err
	}
	return id, r.limitRate(ctx, rule, 1)
}

func (r *mutationResolver) AddFriend(ctx context.Context, input generated.AddFriendInput) (*relations.Befriended, error) {
	return r.relations.AddFriend(ctx, auth.From(ctx).App, input.UserID, input.FriendID, optional(input.Remark))
}

func (r *mutationResolver) RemoveFriend(ctx context.Context, input generated.RemoveFriendInput) (*generated.RemoveFriendPayload, error) {
	owner, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	outcome, err := r.relations.RemoveFriend(ctx, auth.From(ctx).App, owner, input.FriendID)
	if err != nil {
		return nil, err
	}
	return &generated.RemoveFriendPayload{Outcome: outcome, FriendID: input.FriendID}, nil
}

func (r *mutationResolver) SetFriendRemark(ctx context.Context, input generated.SetFriendRemarkInput) (*generated.SetFriendRemarkPayload, error) {
	owner, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	friendship, err := r.relations.SetFriendRemark(ctx, auth.From(ctx).App, owner, input.FriendID, input.Remark)
	if err != nil {
		return nil, err
	}
	return &generated.SetFriendRemarkPayload{Friendship: friendship}, nil
}

func (r *mutationResolver) SendFriendRequest(ctx context.Context, input generated.SendFriendRequestInput) (*relations.Sent, error) {
	sender, err := r.actor(ctx, input.UserID, requesting)
	if err != nil {
		return nil, err
	}
	return r.relations.SendFriendRequest(ctx, auth.From(ctx).App, sender, input.TargetID, optional(input.Message))
}

func (r *mutationResolver) AcceptFriendRequest(ctx context.Context, input generated.FriendRequestInput) (*generated.AcceptFriendRequestPayload, error) {
	recipient, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	friendship, err := r.relations.AcceptFriendRequest(ctx, auth.From(ctx).App, recipient, input.RequestID)
	if err != nil {
		return nil, err
	}
	return &generated.AcceptFriendRequestPayload{Friendship: friendship}, nil
}

func (r *mutationResolver) DeclineFriendRequest(ctx context.Context, input generated.FriendRequestInput) (*generated.DeclineFriendRequestPayload, error) {
	recipient, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	request, err := r.relations.DeclineFriendRequest(ctx, auth.From(ctx).App, recipient, input.RequestID)
	if err != nil {
		return nil, err
	}
	return &generated.DeclineFriendRequestPayload{Request: request}, nil
}

func (r *mutationResolver) CancelFriendRequest(ctx context.Context, input generated.FriendRequestInput) (*generated.CancelFriendRequestPayload, error) {
	sender, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	request, err := r.relations.CancelFriendRequest(ctx, auth.From(ctx).App, sender, input.RequestID)
	if err != nil {
		return nil, err
	}
	return &generated.CancelFriendRequestPayload{Request: request}, nil
}

func (r *mutationResolver) SetFriendRequestPolicy(ctx context.Context, input generated.SetFriendRequestPolicyInput) (*generated.SetFriendRequestPolicyPayload, error) {
	id, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	user, err := r.relations.SetFriendRequestPolicy(ctx, auth.From(ctx).App, id, input.Policy)
	if err != nil {
		return nil, err
	}
	return &generated.SetFriendRequestPolicyPayload{User: user}, nil
}

func (r *mutationResolver) AddToBlocklist(ctx context.Context, input generated.BlocklistInput) (*generated.BlocklistPayload, error) {
	owner, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	if err := r.limitProfiles(ctx, input.TargetIds...); err != nil {
		return nil, err // the results and the blocklist reveal profiles
	}
	results, err := r.relations.AddToBlocklist(ctx, auth.From(ctx).App, owner, input.TargetIds)
	if err != nil {
		return nil, err
	}
	return &generated.BlocklistPayload{Results: results}, nil
}

func (r *mutationResolver) RemoveFromBlocklist(ctx context.Context, input generated.BlocklistInput) (*generated.BlocklistPayload, error) {
	owner, err := r.actor(ctx, input.UserID, changingRelations)
	if err != nil {
		return nil, err
	}
	if err := r.limitProfiles(ctx, input.TargetIds...); err != nil {
		return nil, err // the results reveal profiles
	}
	results, err := r.relations.RemoveFromBlocklist(ctx, auth.From(ctx).App, owner, input.TargetIds)
	if err != nil {
		return nil, err
	}
	return &generated.BlocklistPayload{Results: results}, nil
}

func (r *mutationResolver) SetWhitelistEnabled(ctx context.Context, input generated.SetWhitelistEnabledInput) (*generated.SetWhitelistEnabledPayload, error) {
	results, err := r.relations.SetWhitelistEnabled(ctx, auth.From(ctx).App, input.UserIds, input.Enabled, audit.AppServer)
	if err != nil {
		return nil, err
	}
	return &generated.SetWhitelistEnabledPayload{Results: results}, nil
}

func (r *mutationResolver) AddToWhitelist(ctx context.Context, input generated.WhitelistInput) (*generated.WhitelistPayload, error) {
	results, err := r.relations.AddToWhitelist(ctx, auth.From(ctx).App, input.UserID, input.TargetIds)
	if err != nil {
		return nil, err
	}
	return &generated.WhitelistPayload{Results: results}, nil
}

func (r *mutationResolver) RemoveFromWhitelist(ctx context.Context, input generated.WhitelistInput) (*generated.WhitelistPayload, error) {
	results, err := r.relations.RemoveFromWhitelist(ctx, auth.From(ctx).App, input.UserID, input.TargetIds)
	if err != nil {
		return nil, err
	}
	return &generated.WhitelistPayload{Results: results}, nil
}

func (r *queryResolver) MessagePermission(ctx context.Context, from, to string) (*relations.Permission, error) {
	p := auth.From(ctx)
	if p.Kind == auth.User && p.User.ExternalID != from {
		return nil, fault.New(fault.Forbidden, "with a user token, the sender must be the user itself")
	}
	if err := r.limitProfiles(ctx, to); err != nil {
		return nil, err // the reason reveals whether the user exists, and its state
	}
	return auth.ConfirmBy(ctx, func(appID int64) (*relations.Permission, int, error) {
		return r.relations.PermissionWithSecret(ctx, appID, relations.Pair{From: from, To: to})
	})
}

func (r *queryResolver) MessagePermissions(ctx context.Context, pairs []*generated.MessagePair) ([]*relations.Permission, error) {
	asked := make([]relations.Pair, len(pairs))
	for i, pair := range pairs {
		asked[i] = relations.Pair{From: pair.From, To: pair.To}
	}
	return r.relations.Permissions(ctx, auth.From(ctx).App, asked)
}

func (r *subscriptionResolver) RelationshipChanged(ctx context.Context) (<-chan *relations.Event, error) {
	return stream.From[*relations.Event](ctx, func(sink fanout.Sink) (func(), error) {
		return r.relations.Watch(ctx, auth.From(ctx).User.ID, sink), nil
	})
}

func (r *userResolver) Friends(ctx context.Context, obj *models.User, first *int, after *string, orderBy *generated.ListOrder) (*relations.FriendshipConnection, error) {
	return r.relations.Friends(ctx, obj, inOrder(pageRequest(ctx, first, after), orderBy))
}

func (r *userResolver) FriendIds(ctx context.Context, obj *models.User) ([]string, error) {
	return r.relations.FriendIDs(ctx, obj)
}

func (r *userResolver) Friendship(ctx context.Context, obj *models.User, with string) (*relations.Friendship, error) {
	p := auth.From(ctx)
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return r.relations.Friendship(ctx, p.App, obj, with)
}

func (r *userResolver) Friendships(ctx context.Context, obj *models.User, with []string) ([]*relations.Friendship, error) {
	p := auth.From(ctx)
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return r.relations.Friendships(ctx, p.App, obj, with)
}

func (r *userResolver) FriendRequest(ctx context.Context, obj *models.User, with string) (*relations.FriendRequest, error) {
	p := auth.From(ctx)
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	return r.relations.RequestWith(ctx, p.App, obj, with)
}

func (r *userResolver) FriendRequestPolicy(ctx context.Context, obj *models.User) (*models.FriendRequestPolicy, error) {
	p := auth.From(ctx)
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	policy := obj.PolicyIn(&p.App.Settings)
	return &policy, nil
}

func (r *userResolver) FriendRequests(ctx context.Context, obj *models.User, direction generated.RequestDirection, first *int, after *string) (*relations.FriendRequestConnection, error) {
	incoming := direction == generated.RequestDirectionIncoming
	return r.relations.Requests(ctx, obj, incoming, pageRequest(ctx, first, after))
}

func (r *userResolver) Blocklist(ctx context.Context, obj *models.User, first *int, after *string) (*relations.BlockConnection, error) {
	return r.relations.Blocklist(ctx, obj, pageRequest(ctx, first, after))
}

func (r *userResolver) BlockedIds(ctx context.Context, obj *models.User) ([]string, error) {
	return r.relations.BlockedIDs(ctx, obj)
}

func (r *userResolver) HasBlocked(ctx context.Context, obj *models.User, id string) (*bool, error) {
	p := auth.From(ctx)
	if err := p.LoadApp(ctx); err != nil {
		return nil, err
	}
	blocked, err := r.relations.HasBlocked(ctx, p.App, obj, id)
	if err != nil {
		return nil, err
	}
	return &blocked, nil
}

func (r *userResolver) Whitelist(_ context.Context, obj *models.User) (*relations.Whitelist, error) {
	return &relations.Whitelist{Owner: obj, Enabled: obj.WhitelistEnabled}, nil
}

func (r *whitelistResolver) Entries(ctx context.Context, obj *relations.Whitelist, first *int, after *string) (*relations.WhitelistEntryConnection, error) {
	return r.relations.Whitelist(ctx, obj.Owner, pageRequest(ctx, first, after))
}

// Whitelist returns the resolvers of a whitelist.
func (r *Resolver) Whitelist() generated.WhitelistResolver { return &whitelistResolver{r} }

type whitelistResolver struct{ *Resolver }
