package transport

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// FuzzJSON compares what the package reads with what encoding/json reads.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, ` { } `, `[]`, ` [ ] `, `[null]`, `"a"`, `1`, `true`, `""`, `-1.5e+3`,
		`{"a":1,"b":[1.50,-2e10,"x",null,true,false,{},[]]}`,
		"\t{ \"query\" :\r\n\"a\\n\\\"b\\u00e9\\\\\" , \"variables\" : { \"a\" : [ 1 , { \"b\" : [ ] } ] , \"c\" : { } } } \n",
		`{"query":"first","query":"last","variables":{"a":1,"a":{"b":2}}}`,
		`{"qu\u0065ry":"named with an escape","other":{"query":"inside","]":"}"},"query ":1}`,
		`{"query":"😀","variables":{"😀\ud83d\ude00":"\ud83d\ude00é"},"n":12345678901234567890}`,
		`{"a":[[[[]]],"\\",{"b":"\\\""}],"query":"\b\f\/\r\t"}`, `"\u0000"`, `" "`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Other input has already been refused.
		if text = strings.ToValidUTF8(text, ""); !json.Valid([]byte(text)) || hasHalf(text) {
			return
		}
		var want any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		value := gjson.Parse(text)
		if got, err := jsonValue(value, maxNesting); err == nil != (nesting(want) <= maxNesting) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, %v; for encoding/json %#v", text, got, err, want)
		}
		wantString, isString := want.(string)
		if got, err := stringField(value); got != wantString || (err == nil) != (isString || want == nil) {
			t.Errorf("%q is the string %q, %v", text, got, err)
		}
		_, isObject := want.(map[string]any)
		list, isList := want.([]any)
		isNone := want == nil || isList && len(list) == 0
		if got, err := objectField(value); (err == nil) != (isObject || isNone) && err != errTooDeep || (got == nil) != isNone && err == nil {
			t.Errorf("%q is the object %v, %v", text, got, err)
		}
	})
}

// nesting returns how many levels of objects and lists a value has.
func nesting(value any) int {
	var inside []any
	switch v := value.(type) {
	case map[string]any:
		inside = slices.Collect(maps.Values(v))
	case []any:
		inside = v
	default:
		return 0
	}
	deepest := 0
	for _, v := range inside {
		deepest = max(deepest, nesting(v))
	}
	return deepest + 1
}

func TestJSONParams_DeepVariablesAreRefused(t *testing.T) {
	for depth, good := range map[int]bool{maxNesting - 1: true, maxNesting: false, 9000: false} {
		body := `{"query":"{a}","variables":{"v":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}}`
		params, refused := jsonParams([]byte(body))
		if good != (refused == nil) || good && len(params.Variables) != 1 {
			t.Errorf("%d levels in an object: %v", depth, refused)
		}
		if refused != nil && !bytes.Contains([]byte(refused.cause.Error()), []byte("32 levels")) {
			t.Errorf("refused with %q", refused.cause)
		}
	}
}
