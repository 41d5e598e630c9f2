package transport

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/tidwall/gjson"
)

// A request's JSON is small, and becomes a few strings and a map. To have
// encoding/json find that out by reflection takes five times as long as gjson. That
// reads without checking, so json.Valid goes before.

// maxNesting is how deep a request's variables and extensions may nest: gjson reads
// each level from its beginning to its end, so depth costs. No input of the schema
// nests deeper than a few levels.
const maxNesting = 32

var (
	errNoString = errors.New("this is no string")
	errNoObject = errors.New("this is no object")
	errTooDeep  = errors.New("this nests too deep")
)

// stringField reads a parameter that may be left out or null. The string holds on to
// nothing else of the request.
func stringField(field gjson.Result) (string, error) {
	switch field.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return strings.Clone(field.Str), nil
	}
	return "", errNoString
}

// objectField reads a parameter that may be left out, null or an empty array, which is what PHP
// writes for an object without fields. Numbers keep their digits, as the executor expects them.
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

// jsonValue answers what encoding/json makes of a value that nests at most depth
// levels deep, with numbers as json.Number.
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
