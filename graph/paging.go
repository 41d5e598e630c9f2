package graph

import (
	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/users"
)

// defaultPage is the size of a page where `first: null` is given; the schema has
// the same for where it is left out.
const defaultPage = 20

// pageRequest reads a list's arguments, which have been validated.
func pageRequest(first *int, after *string) page.Request {
	r := page.Request{First: defaultPage, After: after}
	if first != nil {
		r.First = *first
	}
	return r
}

func userFilter(in *generated.UserFilter) users.Filter {
	var out users.Filter
	if in == nil {
		return out
	}
	if in.Search != nil {
		out.Search = *in.Search
	}
	out.States, out.Online = in.States, in.Online
	return out
}
