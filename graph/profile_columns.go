package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// profileFields are the fields of a user for which models.ProfileColumns suffice.
var profileFields = []string{"id", "name", "avatarUrl", "status", "__typename"}

// maxLook is how many fields and fragments are searched for other fields; a larger selection is
// assumed to have some. It limits the cost of fragments that spread each other.
const maxLook = 64

// profilesOnly reports whether only profileFields are selected of the users below the field that is
// being resolved.
func profilesOnly(ctx context.Context) bool {
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
	return only(graphql.GetFieldContext(ctx).Field.Selections)
}
