package graph

import (
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// dropEmptyEnums removes optional enums whose value is "" from values, which are the JSON values of
// the operation's variables, so that they are not given. Typed clients such as genqlient send ""
// for an enum that their callers leave out, and no enum has a value of that name. Other zero values
// are valid in GraphQL; guard and the input types read them as not given.
func dropEmptyEnums(schema *ast.Schema, op *ast.OperationDefinition, values map[string]any) {
	for _, def := range op.VariableDefinitions {
		dropEmptyEnum(schema, def.Type, values, def.Variable)
	}
}

// dropEmptyEnum removes the value with that name from values if it is "" for an optional enum, and
// such values from the objects in it.
func dropEmptyEnum(schema *ast.Schema, typ *ast.Type, values map[string]any, name string) {
	value := values[name]
	if value == "" && !typ.NonNull && typ.Elem == nil && schema.Types[typ.NamedType].Kind == ast.Enum {
		delete(values, name)
		return
	}
	if def := schema.Types[typ.Name()]; def.Kind == ast.InputObject {
		dropEmptyFields(schema, def, value)
	}
}

// dropEmptyFields removes the optional enums that are "" from the input object value, or from those
// in the list value.
func dropEmptyFields(schema *ast.Schema, def *ast.Definition, value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			dropEmptyFields(schema, def, item)
		}
	case map[string]any:
		for _, field := range def.Fields {
			dropEmptyEnum(schema, field.Type, v, field.Name)
		}
	}
}

// checkVariables refuses values that the specification does not allow to be coerced to their
// variable's type but gqlparser does: it accepts any JSON number for a String, a String of digits
// for an Int, and enum values in any case.
func checkVariables(schema *ast.Schema, op *ast.OperationDefinition, values map[string]any) *gqlerror.Error {
	for _, def := range op.VariableDefinitions {
		value, given := values[def.Variable]
		if !given {
			continue
		}
		if err := checkValue(schema, def.Type, value); err != nil {
			errcode.Set(err, errcode.ValidationFailed)
			return within(ast.PathName("variable"), within(ast.PathName(def.Variable), err))
		}
	}
	return nil
}

// within prepends place to the path of an error about a part of the value there.
func within(place ast.PathElement, err *gqlerror.Error) *gqlerror.Error {
	err.Path = slices.Insert(err.Path, 0, place)
	return err
}

// checkValue returns an error whose path is relative to value.
func checkValue(schema *ast.Schema, typ *ast.Type, value any) *gqlerror.Error {
	if value == nil {
		return nil // gqlparser has checked whether null is allowed
	}
	if typ.Elem != nil {
		list := reflect.ValueOf(value)
		if list.Kind() != reflect.Slice { // a single value is coerced to a list
			return checkValue(schema, typ.Elem, value)
		}
		for i := range list.Len() {
			if err := checkValue(schema, typ.Elem, list.Index(i).Interface()); err != nil {
				return within(ast.PathIndex(i), err)
			}
		}
		return nil
	}
	def := schema.Types[typ.NamedType]
	switch def.Kind {
	case ast.InputObject:
		object, _ := value.(map[string]any)
		for _, field := range def.Fields {
			if err := checkValue(schema, field.Type, object[field.Name]); err != nil {
				return within(ast.PathName(field.Name), err)
			}
		}
		return nil
	case ast.Enum:
		if text, ok := value.(string); ok && def.EnumValues.ForName(text) != nil {
			return nil
		}
	case ast.Scalar:
		if isScalar(def.Name, value) {
			return nil
		}
	}
	return gqlerror.Errorf("cannot use this value as %s", typ.NamedType)
}

// isScalar reports whether a JSON value is an input of the scalar. The Go type of a number depends
// on whether gqlparser has coerced it.
func isScalar(name string, value any) bool {
	switch name {
	case "Int":
		n, ok := integer(value)
		return ok && n >= math.MinInt32 && n <= math.MaxInt32
	case "Float":
		switch v := value.(type) {
		case json.Number:
			_, err := v.Float64()
			return err == nil
		case float64, int64:
			return true
		}
		return false
	case "String":
		_, ok := value.(string)
		return ok
	case "Boolean":
		_, ok := value.(bool)
		return ok
	case "ID":
		switch v := value.(type) {
		case string, int64:
			return true
		case json.Number: // of any size, as for a literal
			return isInteger.MatchString(string(v))
		}
		return false
	}
	return true // the scalar's own unmarshaler decides
}

// isInteger matches JSON numbers without a fraction and an exponent.
var isInteger = regexp.MustCompile(`^-?[0-9]+$`)

func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case int64:
		return v, true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}
