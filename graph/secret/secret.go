// Package secret finds documents that contain a secret of their caller. Clients should pass secrets
// in variables, but may write them into the document, and nothing may then store its text.
package secret

import "github.com/vektah/gqlparser/v2/ast"

// isTakenBy reports whether the arguments of the root field with that name contain a secret.
func isTakenBy(field string) bool {
	switch field {
	case "issueAppToken", "tokenInfo", "createWebhookEndpoint", "updateWebhookEndpoint": // a URL may contain a secret
		return true
	}
	return false
}

// InText reports whether the text of a document contains a secret: it calls a root field that takes
// one, with a literal text among its arguments or as the default of a variable.
func InText(doc *ast.QueryDocument) bool {
	taken, literal := false, false
	fields := func(set ast.SelectionSet) {
		inFields(set, func(field *ast.Field) {
			if isTakenBy(field.Name) {
				taken = true
				for _, arg := range field.Arguments {
					literal = literal || hasText(arg.Value)
				}
			}
		})
	}
	for _, op := range doc.Operations {
		fields(op.SelectionSet)
		for _, variable := range op.VariableDefinitions {
			literal = literal || hasText(variable.DefaultValue)
		}
	}
	for _, fragment := range doc.Fragments {
		fields(fragment.SelectionSet)
	}
	return taken && literal
}

// inFields calls f with each field of a selection. It does not follow fragment spreads.
func inFields(set ast.SelectionSet, f func(*ast.Field)) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			f(s)
			inFields(s.SelectionSet, f)
		case *ast.InlineFragment:
			inFields(s.SelectionSet, f)
		}
	}
}

// hasText reports whether a value, which may be nil, is or contains a literal text.
func hasText(v *ast.Value) bool {
	if v == nil {
		return false
	}
	for _, child := range v.Children {
		if hasText(child.Value) {
			return true
		}
	}
	return v.Kind == ast.StringValue || v.Kind == ast.BlockValue
}
