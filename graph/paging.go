package graph

import (
	"context"

	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/users"
)

// defaultPage is the size of a page if `first` is null or 0; the schema has the same default for an
// absent `first`.
const defaultPage = 20

// pageRequest reads a list's arguments, which have been validated, in the context
// of the list's resolver.
func pageRequest(ctx context.Context, first *int, after *string) page.Request {
	r := page.Request{First: defaultPage, After: after, Profiles: profilesOnly(ctx)}
	if first != nil {
		r.First = *first
	}
	return r
}

// inOrder returns r with the order of an argument.
func inOrder(r page.Request, order *generated.ListOrder) page.Request {
	r.OldestFirst = order != nil && *order == generated.ListOrderOldestFirst
	return r
}

func userFilter(in *generated.UserFilter) users.Filter {
	if in == nil {
		return users.Filter{}
	}
	return users.Filter{Search: in.Search, States: in.States, Presences: in.Presences}
}
