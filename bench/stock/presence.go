//go:build linux

package main

import (
	"context"
	"time"

	"rollcall/bench/stock/generated"
	"rollcall/models"
)

// buffered is how many changes a subscription may lag behind.
const buffered = 16

type mutation struct {
	*core
	generated.MutationResolver
}

// SetStatus is the resolver for the setStatus field.
func (r *mutation) SetStatus(ctx context.Context, input generated.SetStatusInput) (*generated.SetStatusPayload, error) {
	me := *principalOf(ctx).user
	r.hub.say(me.ID, input.CustomStatus)
	now := models.TimeOf(time.Now())
	me.Presence, me.PresenceAt = models.PresenceOnline, &now
	status := r.status(&me)
	r.hub.publish(status)
	return &generated.SetStatusPayload{Status: status}, nil
}

type subscription struct {
	*core
	generated.SubscriptionResolver
}

// UserStatus is the resolver for the userStatus field.
func (r *subscription) UserStatus(ctx context.Context, ids []string) (<-chan *models.UserStatus, error) {
	w := &watcher{ctx: ctx, changes: make(chan *models.UserStatus, len(ids)+buffered)}
	r.hub.watch(w, ids)
	var users []*models.User
	err := r.db.WithContext(ctx).Where("app_id = ? AND external_id IN ?", principalOf(ctx).app.ID, ids).Find(&users).Error
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		w.changes <- r.status(u)
	}
	return w.changes, nil
}

// arrive makes a user ONLINE with its first device.
func (r *core) arrive(ctx context.Context, p *principal) error {
	if p.user == nil || r.hub.count(p.user.ID, 1) > 1 {
		return nil
	}
	return r.change(ctx, p.user, models.PresenceOnline)
}

// leave makes a user OFFLINE with its last device.
func (r *core) leave(p *principal) {
	if p.user == nil || r.hub.count(p.user.ID, -1) > 0 {
		return
	}
	// The connection's context has ended, and no caller is left to receive an error.
	_ = r.change(context.Background(), p.user, models.PresenceOffline)
}

func (r *core) change(ctx context.Context, u *models.User, presence models.Presence) error {
	now := models.TimeOf(time.Now())
	err := r.db.WithContext(ctx).Model(&models.User{}).Where("id = ?", u.ID).
		Updates(map[string]any{"presence": presence, "presence_at": now}).Error
	if err != nil {
		return err
	}
	changed := *u
	changed.Presence, changed.PresenceAt = presence, &now
	r.hub.publish(r.status(&changed))
	return nil
}
