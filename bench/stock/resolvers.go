//go:build linux

package main

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"rollcall/bench/stock/generated"
	"rollcall/bench/stock/model"
	"rollcall/models"
)

// core is what the resolvers share.
type core struct {
	db  *gorm.DB
	hub *hub
	// join is true if friends are read with one JOIN instead of one by one.
	join bool
}

// resolver resolves what the benchmarks request. The interfaces embedded in it and in the types
// below stand for all other fields, which are not requested.
type resolver struct {
	*core
	generated.ResolverRoot
}

func (r *resolver) Query() generated.QueryResolver           { return &query{core: r.core} }
func (r *resolver) Mutation() generated.MutationResolver     { return &mutation{core: r.core} }
func (r *resolver) User() generated.UserResolver             { return &user{core: r.core} }
func (r *resolver) Friendship() generated.FriendshipResolver { return &friendship{r.core} }
func (r *resolver) Subscription() generated.SubscriptionResolver {
	return &subscription{core: r.core}
}

type query struct {
	*core
	generated.QueryResolver
}

// User is the resolver for the user field.
func (r *query) User(ctx context.Context, id string) (*models.User, error) {
	u := &models.User{}
	err := r.db.WithContext(ctx).Where("app_id = ? AND external_id = ?", principalOf(ctx).app.ID, id).First(u).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return u, err
}

type user struct {
	*core
	generated.UserResolver
}

// Friends is the resolver for the friends field.
func (r *user) Friends(ctx context.Context, obj *models.User, first *int, _ *string, _ *generated.ListOrder) (*generated.FriendshipConnection, error) {
	page := &generated.FriendshipConnection{}
	find := r.db.WithContext(ctx).Where("user_id = ?", obj.ID).
		Order("friendships.created_at DESC, friendships.friend_id DESC").Limit(*first)
	if r.join {
		find = find.Joins("Friend")
	}
	return page, find.Find(&page.Nodes).Error
}

// Status is the resolver for the status field.
func (r *user) Status(_ context.Context, obj *models.User) (*models.UserStatus, error) {
	return r.status(obj), nil
}

type friendship struct{ *core }

// User is the resolver for the user field.
func (r *friendship) User(ctx context.Context, obj *model.Friendship) (*models.User, error) {
	if obj.Friend != nil {
		return obj.Friend, nil
	}
	u := &models.User{}
	return u, r.db.WithContext(ctx).First(u, obj.FriendID).Error
}

func (r *core) status(u *models.User) *models.UserStatus {
	return &models.UserStatus{UserID: u.ExternalID, Presence: u.Presence, CustomStatus: r.hub.said(u.ID), ChangedAt: u.PresenceAt}
}
