package graph

import (
	"context"

	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/users"
)

// The sizes of pages if `first: null` is given; the schema has the same defaults for an absent
// `first`. A page has 1 to 100 entries: @validate on each `first` in the schema checks it.
const (
	userPage = 20 // lists of an app's users
	listPage = 10 // a user's own lists
)

// pageRequest reads a list's arguments, which have been validated, in the context
// of the list's resolver.
func pageRequest(ctx context.Context, first *int, after *string, size int) page.Request {
	if first != nil {
		size = *first
	}
	return page.Request{First: size, After: after, Profiles: profilesOnly(ctx)}
}

func userFilter(in *generated.UserFilter) users.Filter {
	if in == nil {
		return users.Filter{}
	}
	return users.Filter{Search: in.Search, States: in.States, Presences: in.Presences}
}
