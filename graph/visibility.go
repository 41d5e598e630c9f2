package graph

import (
	"context"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/presence"
)

// featureDisabledNumber goes with FEATURE_DISABLED for statuses; it is the
// number that Tencent IM answers where the console's switch is off.
const featureDisabledNumber = 72001

// maySeeStatuses refuses a user who asks for others' statuses in an app whose
// switch is off.
func maySeeStatuses(ctx context.Context, ids ...string) error {
	p := auth.From(ctx)
	if p.Kind != auth.User || p.App.Settings.StatusQueryEnabled {
		return nil
	}
	for _, id := range ids {
		if id != p.User.ExternalID {
			return fault.New(fault.FeatureDisabled, "the app has the status query and notification switched off").
				With("number", featureDisabledNumber)
		}
	}
	return nil
}

// accounts answers whom the IDs name in the caller's app, or USER_NOT_FOUND.
func (r *Resolver) accounts(ctx context.Context, ids []string) ([]presence.Account, error) {
	app := auth.From(ctx).App
	found, err := r.users.ByIDs(ctx, app.ID, ids)
	if err != nil {
		return nil, err
	}
	accounts := make([]presence.Account, len(found))
	for i, u := range found {
		if u == nil {
			return nil, fault.New(fault.UserNotFound, "there is no user %q", ids[i]).With("userId", ids[i])
		}
		accounts[i] = presence.AccountOf(u)
	}
	return accounts, nil
}
