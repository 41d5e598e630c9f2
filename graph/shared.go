package graph

import "github.com/vektah/gqlparser/v2/ast"

// SharedByAll says whether an event of this subscription operation looks the
// same to everybody who may have it, so that one execution serves all
// subscribers with an equal operation: a UserStatus holds nothing that depends
// on the viewer.
func SharedByAll(op *ast.OperationDefinition) bool {
	for _, selection := range op.SelectionSet {
		field, ok := selection.(*ast.Field)
		if !ok || field.Definition == nil || field.Definition.Type.Name() != "UserStatus" {
			return false
		}
	}
	return true
}
