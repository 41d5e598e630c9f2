package transport

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzJSON compares what is taken apart here with what encoding/json makes of it.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, ` { } `, `[]`, `"a"`, `1`, `true`,
		`{"query":"{a}","variables":{"a":1,"b":[1.50,-2e10,"x",null,true,false,{},[]]},"operationName":null}`,
		"\t{ \"query\" :\r\n\"a\\n\\\"b\\u00e9\\\\\" , \"variables\" : { \"a\" : [ 1 , { \"b\" : [ ] } ] , \"c\" : { } } } \n",
		`{"query":"first","query":"last","variables":{"a":1,"a":{"b":2}}}`,
		`{"qu\u0065ry":"named with an escape","other":{"query":"inside","]":"}"},"query ":1}`,
		`{"query":"😀","variables":{"😀\ud83d\ude00":"\ud83d\ude00é"},"extensions":{"n":12345678901234567890}}`,
		`{"query":1,"variables":"{}","operationName":[],"extensions":null}`,
		`{"a":[[[[]]],"\\",{"b":"\\\""}],"query":""}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		var fields map[string]json.RawMessage
		fault := json.Unmarshal(text, &fields)
		entries, err := jsonEntries(text, paramNames[:]...)
		if (err != nil) != (fault != nil) {
			t.Fatalf("%q: error %v, encoding/json's %v", text, err, fault)
		}
		for i, entry := range entries {
			want := fields[paramNames[i]]
			if !bytes.Equal(entry, want) {
				t.Errorf("%q has %s %q, for encoding/json %q", text, paramNames[i], entry, want)
			}
			if len(entry) > 0 {
				compareField(t, entry)
			}
		}
		compareField(t, bytes.TrimSpace(text))
	})
}

// compareField reads a value as a string and as an object.
func compareField(t *testing.T, text []byte) {
	var wantText string
	fault := json.Unmarshal(text, &wantText)
	gotText, err := stringField(text)
	// Invalid UTF-8 has been refused where this is called.
	if (err != nil) != (fault != nil) || err == nil && gotText != wantText && bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
		t.Errorf("%q is the string %q, %v; for encoding/json %q, %v", text, gotText, err, wantText, fault)
	}
	var want map[string]any
	decoder := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(text, nil)))
	decoder.UseNumber()
	fault = decoder.Decode(&want)
	got, err := objectField(bytes.ToValidUTF8(text, nil))
	if (err != nil) != (fault != nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q is the object %v, %v; for encoding/json %v, %v", text, got, err, want, fault)
	}
}
