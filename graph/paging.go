package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/users"
)

// The sizes of pages where `first: null` is given; the schema has the same for
// where it is left out.
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
	return page.Request{First: size, After: after, Profiles: profilesOnly(graphql.GetFieldContext(ctx).Field.Selections)}
}

// profileFields are the fields of a user that need no more of it than
// page.Request.Profiles reads.
var profileFields = []string{"id", "name", "avatarUrl", "status", "__typename"}

// maxLook is in how many fields and fragments it is looked for others. It bounds
// what fragments that spread each other cost; what asks for that much is large anyway.
const maxLook = 64

// profilesOnly says whether of the users below a selection nothing is selected but
// profileFields.
func profilesOnly(set ast.SelectionSet) bool {
	left := maxLook
	var only func(set ast.SelectionSet) bool
	only = func(set ast.SelectionSet) bool {
		for _, selection := range set {
			if left--; left < 0 {
				return false
			}
			var below ast.SelectionSet
			switch s := selection.(type) {
			case *ast.Field:
				if s.ObjectDefinition.Name == "User" && !slices.Contains(profileFields, s.Name) {
					return false
				}
				below = s.SelectionSet
			case *ast.InlineFragment:
				below = s.SelectionSet
			case *ast.FragmentSpread:
				below = s.Definition.SelectionSet
			}
			if !only(below) {
				return false
			}
		}
		return true
	}
	return only(set)
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
