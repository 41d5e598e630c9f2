package transport

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/tidwall/gjson"
)

// A request's JSON is small and becomes a few strings and a map. encoding/json takes five times as
// long for that as gjson, because of reflection. gjson does not validate what it reads, so
// json.Valid is called first.

// maxNesting is how deep a request's variables and extensions may nest. gjson reads each level from
// beginning to end, so depth is expensive. No input of the schema nests deeper than a few levels.
const maxNesting = 32

var (
	errNoString = errors.New("not a string")
	errNoObject = errors.New("not an object")
	errTooDeep  = errors.New("nested too deep")
)

// stringField reads an optional parameter; null counts as absent. The returned string keeps no
// other part of the request in memory.
func stringField(field gjson.Result) (string, error) {
	switch field.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return strings.Clone(field.Str), nil
	}
	return "", errNoString
}

// objectField reads an optional parameter; null counts as absent, and so does an empty array, which
// PHP writes for an object without fields. Numbers keep their digits, as the executor expects.
func objectField(field gjson.Result) (map[string]any, error) {
	switch {
	case field.Type == gjson.Null, isEmptyArray(field):
		return nil, nil
	case !field.IsObject():
		return nil, errNoObject
	}
	value, err := jsonValue(field, maxNesting)
	if err != nil {
		return nil, err
	}
	return value.(map[string]any), nil
}

// isEmptyArray reports whether value, which is valid JSON, is an array without elements.
func isEmptyArray(value gjson.Result) bool {
	empty := value.IsArray()
	value.ForEach(func(_, _ gjson.Result) bool {
		empty = false
		return false
	})
	return empty
}

// jsonValue returns the same as encoding/json for a value that nests at most depth levels deep,
// with numbers as json.Number.
func jsonValue(value gjson.Result, depth int) (any, error) {
	switch value.Type {
	case gjson.String:
		return strings.Clone(value.Str), nil
	case gjson.Number:
		return json.Number(strings.Clone(value.Raw)), nil
	case gjson.True, gjson.False:
		return value.Bool(), nil
	case gjson.JSON:
		if depth == 0 {
			return nil, errTooDeep
		}
	default:
		return nil, nil
	}
	object, list := map[string]any{}, []any{}
	var err error
	value.ForEach(func(name, element gjson.Result) bool {
		var v any
		if v, err = jsonValue(element, depth-1); err != nil {
			return false
		}
		if name.Type == gjson.String {
			object[strings.Clone(name.Str)] = v
		} else {
			list = append(list, v)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if value.IsObject() {
		return object, nil
	}
	return list, nil
}
