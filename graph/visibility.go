package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/auth"
	"rollcall/graph/stream"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// errFeatureDisabled refuses operations that require the app's statusQueryEnabled. The number is
// the error code that Tencent IM returns if the corresponding switch in its console is off.
var errFeatureDisabled = fault.New(fault.FeatureDisabled, "the app's statusQueryEnabled is off").
	With("number", 72001)

// maySeeStatuses refuses a user that requests others' statuses in an app whose switch is off, or
// too often.
func (r *Resolver) maySeeStatuses(ctx context.Context, ids ...string) error {
	if !asksForOthers(ctx, ids...) {
		return nil
	}
	if err := mayQueryStatuses(auth.From(ctx).App); err != nil {
		return err
	}
	if ev := stream.EventOf(ctx); ev != nil {
		return mayShowStatuses(ev)
	}
	return r.limitReading(ctx)
}

// errOwnBlock refuses the status in an event that the user can cause as often as it likes and for
// any user.
var errOwnBlock = fault.New(fault.Forbidden, "an event about the user's own blocklist carries no status; read it with userStatuses")

// mayShowStatuses refuses an event that the user itself causes, by blocking or unblocking another:
// otherwise it could read statuses without being counted. Other events are not counted, because the
// user does not request them.
func mayShowStatuses(ev *fanout.Event) error {
	if change, ok := ev.Value().(*relations.Event); ok {
		switch change.Kind {
		case relations.BlockAdded, relations.BlockRemoved:
			return errOwnBlock
		}
	}
	return nil
}

// asksForOthers reports whether the caller is a user that requests data of other users; it is never
// true for an App Server.
func asksForOthers(ctx context.Context, ids ...string) bool {
	p := auth.From(ctx)
	return p.Kind == auth.User && slices.ContainsFunc(ids, func(id string) bool { return id != p.User.ExternalID })
}

// mayQueryStatuses refuses operations that require the app's statusQueryEnabled.
func mayQueryStatuses(app *models.App) error {
	if !app.Settings.StatusQueryEnabled {
		return errFeatureDisabled
	}
	return nil
}

// maySeePrivate reports whether the caller may see fields that are only for the user and its App
// Server. Users of another app cannot be reached at all.
func maySeePrivate(ctx context.Context, u *models.User) bool {
	p := auth.From(ctx)
	return p.Kind == auth.AppServer || p.IsUser(u.ID)
}

// private implements the schema's @private.
func private(ctx context.Context, obj any, next graphql.Resolver) (any, error) {
	if u, ok := obj.(*models.User); !ok || !maySeePrivate(ctx, u) {
		return nil, fault.New(fault.Forbidden, "only the user itself and its App Server may see this")
	}
	return next(ctx)
}

// accounts returns the users of the caller's app with these IDs. Returns fault.UserNotFound if one
// is missing.
func (r *Resolver) accounts(ctx context.Context, ids []string) ([]status.Account, error) {
	app := auth.From(ctx).App
	found, err := r.users.ByIDs(ctx, app.ID, ids)
	if err != nil {
		return nil, err
	}
	accounts := make([]status.Account, len(found))
	for i, u := range found {
		if u == nil {
			return nil, userlock.Unknown(ids[i])
		}
		accounts[i] = status.AccountOf(u)
	}
	return accounts, nil
}
