package graph

import "github.com/vektah/gqlparser/v2/ast"

// SharedByAll reports whether an event of this subscription operation is the same for all callers
// that may receive it, so that one execution serves all subscribers with an equal operation: a
// UserStatus has nothing that depends on the viewer.
func SharedByAll(op *ast.OperationDefinition) bool {
	for _, selection := range op.SelectionSet {
		field, ok := selection.(*ast.Field)
		if !ok || field.Definition == nil || field.Definition.Type.Name() != "UserStatus" {
			return false
		}
	}
	return true
}
