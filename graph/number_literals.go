package graph

import (
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
)

// intRangeRule is the name of the rule intRange.
const intRangeRule = "RollcallIntRange"

// intRange refuses Int literals of 33 to 64 bits, as checkVariables refuses such variables: an Int
// has 32 (GraphQL specification, section 3.5.1). gqlparser refuses only those beyond 64 bits.
func intRange(observers *core.Events, addError core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Kind != ast.IntValue || value.Definition == nil || value.Definition.Name != "Int" {
			return
		}
		if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil && n != int64(int32(n)) {
			addError(core.Message("Int cannot represent non 32-bit signed integer value: %s", value.Raw), core.At(value.Position))
		}
	})
}

// idLiteralsRule is the name of the rule idLiterals.
const idLiteralsRule = "RollcallIDLiterals"

// idLiterals turns Int literals that stand for an ID into strings with their digits, as an ID is
// coerced (GraphQL specification, section 3.5.5). gqlparser reads them as numbers of 64 bits and
// refuses larger ones. This rule precedes those that read values; the walker visits the parts of a
// value before the value itself.
func idLiterals(observers *core.Events, _ core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Kind == ast.IntValue && value.Definition != nil && value.Definition.Name == "ID" {
			value.Kind = ast.StringValue
		}
	})
}

// numberSizeRule is the name of the rule numberSize.
const numberSizeRule = "RollcallNumberSize"

// numberSize refuses number literals that are too large for gqlparser to read, where no other rule
// looks at them: in the place of a scalar of the schema, and within one, as in `_Any`. gqlgen panics
// when it reads them.
func numberSize(observers *core.Events, addError core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Kind != ast.IntValue && value.Kind != ast.FloatValue {
			return
		}
		if value.Definition != nil && value.Definition.BuiltIn {
			return
		}
		if _, err := value.Value(nil); err != nil {
			addError(core.Message("The number %s is too large.", value.Raw), core.At(value.Position))
		}
	})
}
