package transport

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// marker is text that no refusal may repeat.
const marker = "hunter2"

// FuzzParams reads the parameters of an operation from a body, a URL's query and a WebSocket
// message. All of them read the same, accepted parameters can be sent again unchanged, and no
// refusal repeats what was sent.
func FuzzParams(f *testing.F) {
	for _, text := range []string{
		`{"query":"{ a }","operationName":"hunter2","variables":{"a":[1,2.50,{"b":null}]},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}`,
		`{"query":"{ a(b: \"\\ud83d\\ude00 \\u{1F600}\") }","variables":[]}`,
		`{"query":"\\u{d800}","variables":{"a":"\ud83d"}}`,
		`{"query":1,"variables":"hunter2"}`,
		`{"query":null,"extensions":{"persistedQuery":{}}}`,
		`query=%7Ba%7D&operationName=hunter2&variables=%7B%22a%22%3A1%7D`,
		`query={a}&variables=[]&extensions=null&query={b}`,
		`query=%zz`, `[]`, `{}`, ``, "\xff",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		params, refused := jsonParams([]byte(text))
		checkParams(t, text, params, refused)
		req, err := readRequest([]byte(`{"id":"1","type":"subscribe","payload":` + text + `}`))
		if json.Valid([]byte(text)) != (err == nil) && refused == nil {
			t.Errorf("%q as a payload: %v", text, err)
		}
		if err == nil && refused == nil && string(req.id) == `"1"` && req.kind == typeSubscribe {
			if again, refused := jsonParams(req.payload); refused == nil && !reflect.DeepEqual(again, params) && !strings.Contains(text, `"payload"`) {
				t.Errorf("%q is %+v as a body, and %+v as a payload", text, params, again)
			}
		}
		params, refused = getParams(text)
		checkParams(t, text, params, refused)
	})
}

// checkParams checks what was read from text.
func checkParams(t *testing.T, text string, params *graphql.RawParams, refused *badRequest) {
	t.Helper()
	if refused != nil {
		if refused.status < 400 || refused.status > 499 || strings.Contains(refused.cause.Error(), marker) {
			t.Errorf("%q is refused with %d %q", text, refused.status, refused.cause)
		}
		return
	}
	if query, ok := translateEscapes(params.Query); ok && !utf8.ValidString(query) {
		t.Errorf("%q becomes the document %q", text, query)
	}
	values := map[string]any{"query": params.Query, "operationName": params.OperationName}
	if params.Variables != nil {
		values["variables"] = params.Variables
	}
	if params.Extensions != nil {
		values["extensions"] = params.Extensions
	}
	body, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	again, refused := jsonParams(body)
	if refused != nil || !reflect.DeepEqual(again, params) {
		t.Errorf("%q is %+v, and written again as %q %+v, %+v", text, params, body, again, refused)
	}
	form := url.Values{}
	for name, value := range maps.All(values) {
		if text, ok := value.(string); ok {
			form.Set(name, text)
			continue
		}
		json, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		form.Set(name, string(json))
	}
	again, refused = getParams(form.Encode())
	switch {
	case refused != nil && params.Query == "" && refused.status == http.StatusBadRequest: // a GET cannot send an empty document
	case refused != nil || !reflect.DeepEqual(again, params):
		t.Errorf("%q is %+v, and as a URL's query %+v, %+v", text, params, again, refused)
	}
}
