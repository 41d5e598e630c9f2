package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rollcall/internal/fault"
)

// exchangeCase is one request and the expected response.
type exchangeCase struct {
	name    string
	method  string // POST unless given
	query   string // of the URL, with its ?
	header  map[string]string
	body    string
	status  int
	want    map[string]string // headers
	data    string            // the data entry as JSON; "" means absent
	code    string            // of the first error; "" means none
	message string            // a part of the first error's message
}

func TestHTTP(t *testing.T) {
	w := newWorld(t, worldOptions{origins: []string{"https://chat.example.com"}})
	w.auth.refuse("banned", fault.New(fault.UserBanned, "banned").With("until", "later"))
	const typename = `{"query":"{__typename}"}`
	get := func(values ...string) string {
		v := url.Values{}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return "?" + v.Encode()
	}
	response := map[string]string{"Accept": mediaResponse}

	for _, c := range []exchangeCase{
		{name: "post", body: typename, status: 200, data: `{"__typename":"Query"}`,
			want: map[string]string{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}},
		{name: "post, own media type", body: typename, header: response, status: 200, data: `{"__typename":"Query"}`,
			want: map[string]string{"Content-Type": "application/graphql-response+json; charset=utf-8"}},
		{name: "half a character in a variable", body: `{"query":"{who}","variables":{"a":["\ud83d"]}}`, status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "half a character in the JSON of a document", body: `{"query":"{who} #\ude00"}`, status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "half a character in a document's string", body: `{"query":"{__type(name: \"\\ud83d\") {name}}"}`, status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "half a character in the operation's name", body: `{"query":"{who}","operationName":"\ud83d\ud83d"}`, status: 400, code: "BAD_REQUEST", message: "operationName"},
		{name: "half a character in a URL's variables", method: "GET", query: get("query", "{who}", "variables", `{"a":"\ude00\ud83d"}`), status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "half a character in a URL's document", method: "GET", query: get("query", `{__type(name: "\ud83dx") {name}}`), status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "both halves", body: `{"query":"{who}","variables":{"a":"\ud83d\ude00"},"extensions":{"b":"\\ud83d"}}`, status: 200, data: `{"who":"GUEST"}`},
		{name: "guest", body: `{"query":"{who}"}`, status: 200, data: `{"who":"GUEST"}`},
		{name: "app token", body: `{"query":"{who}"}`, header: map[string]string{"Authorization": "Bearer app"}, status: 200, data: `{"who":"APP_SERVER"}`},
		{name: "user token is no device", body: `{"query":"{who device}"}`, header: map[string]string{"Authorization": "Bearer u0"}, status: 200, data: `{"who":"USER","device":""}`},
		{name: "bad token", body: typename, header: map[string]string{"Authorization": "Bearer x"}, status: 401, code: "UNAUTHENTICATED",
			want: map[string]string{"WWW-Authenticate": "Bearer"}},
		{name: "no Bearer token", body: typename, header: map[string]string{"Authorization": "Basic dTpw"}, status: 401, code: "UNAUTHENTICATED"},
		{name: "bad token, own media type", body: typename, header: map[string]string{"Authorization": "Bearer x", "Accept": mediaResponse}, status: 401, code: "UNAUTHENTICATED",
			want: map[string]string{"Content-Type": "application/graphql-response+json; charset=utf-8"}},
		{name: "bad token, stream", body: typename, header: map[string]string{"Authorization": "Bearer x", "Accept": mediaStream}, status: 401, code: "UNAUTHENTICATED",
			want: map[string]string{"Content-Type": "application/json; charset=utf-8"}},
		{name: "bad token, strange Accept", body: typename, header: map[string]string{"Authorization": "Bearer x", "Accept": "image/png"}, status: 401, code: "UNAUTHENTICATED"},
		{name: "banned", body: typename, header: map[string]string{"Authorization": "Bearer banned"}, status: 403, code: "USER_BANNED"},
		{name: "given request ID", body: `{"query":"{requestId}"}`, header: map[string]string{"X-Request-Id": "my.id-1"}, status: 200, data: `{"requestId":"my.id-1"}`,
			want: map[string]string{"X-Request-Id": "my.id-1"}},
		{name: "variables", body: `{"query":"query q($k:Int!){text(kilobytes:$k)}","operationName":"q","variables":{"k":0}}`, status: 200, data: `{"text":""}`},
		{name: "nulls", body: `{"query":"{__typename}","operationName":null,"variables":null,"extensions":null}`, status: 200, data: `{"__typename":"Query"}`},
		{name: "a field's error", body: `{"query":"{fail}"}`, header: response, status: 200, data: `{"fail":null}`, code: "FORBIDDEN"},
		{name: "charset", body: typename, header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}, status: 200, data: `{"__typename":"Query"}`},

		{name: "no content type", body: typename, header: map[string]string{"Content-Type": ""}, status: 415, code: "BAD_REQUEST"},
		{name: "form", body: "query=x", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, code: "BAD_REQUEST"},
		{name: "other charset", body: typename, header: map[string]string{"Content-Type": "application/json; charset=utf-16"}, status: 415, code: "BAD_REQUEST"},
		{name: "compressed", body: typename, header: map[string]string{"Content-Encoding": "gzip"}, status: 415, code: "BAD_REQUEST"},
		{name: "compressed twice", body: typename, header: map[string]string{"Content-Encoding": "identity, gzip"}, status: 415, code: "BAD_REQUEST"},
		{name: "not compressed", body: typename, header: map[string]string{"Content-Encoding": "Identity"}, status: 200, data: `{"__typename":"Query"}`},
		{name: "not acceptable", body: typename, header: map[string]string{"Accept": "image/png"}, status: 406, code: "BAD_REQUEST"},
		{name: "empty body", body: "", status: 400, code: "BAD_REQUEST"},
		{name: "malformed", body: `{ "secret-marker`, status: 400, code: "BAD_REQUEST", message: "not valid JSON"},
		{name: "something follows", body: typename + `{}`, status: 400, code: "BAD_REQUEST"},
		{name: "batch", body: `[` + typename + `]`, status: 400, code: "BAD_REQUEST", message: "one JSON object"},
		{name: "invalid UTF-8", body: "{\"query\":\"{__typename} #\xff\"}", status: 400, code: "BAD_REQUEST", message: "UTF-8"},
		{name: "no query", body: `{"Query":"{__typename}"}`, status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "query is null", body: `{"query":null}`, status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "query is an object", body: `{"query":{}}`, status: 400, code: "BAD_REQUEST", message: "query"},
		{name: "operationName is a number", body: `{"query":"{__typename}","operationName":1}`, status: 400, code: "BAD_REQUEST", message: "operationName"},
		{name: "empty lists for none", body: `{"query":"{__typename}","variables":[],"extensions":[ ]}`, status: 200, data: `{"__typename":"Query"}`},
		{name: "variables are a string", body: `{"query":"{__typename}","variables":""}`, status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "variables are a number", body: `{"query":"{__typename}","variables":0}`, status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "variables are a list", body: `{"query":"{__typename}","variables":[null]}`, status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "extensions are a string", body: `{"query":"{__typename}","extensions":"x"}`, status: 400, code: "BAD_REQUEST", message: "extensions"},
		{name: "too large", body: `{"query":"` + strings.Repeat(" ", 1<<20) + `"}`, status: 413, code: "BAD_REQUEST"},

		{name: "syntax, legacy", body: `{"query":"{"}`, status: 200, code: "GRAPHQL_PARSE_FAILED"},
		{name: "syntax", body: `{"query":"{"}`, header: response, status: 400, code: "GRAPHQL_PARSE_FAILED"},
		{name: "unknown field, legacy", body: `{"query":"{nope}"}`, status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "unknown field", body: `{"query":"{nope}"}`, header: response, status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "unknown operation", body: `{"query":"query a{who}","operationName":"b"}`, header: response, status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "variable of a wrong type", body: `{"query":"query($k:Int!){text(kilobytes:$k)}","variables":{"k":"x"}}`, header: response, status: 400, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "subscription over plain POST", body: `{"query":"subscription{captured{userId}}"}`, status: 400, code: "BAD_REQUEST", message: "WebSocket"},

		{name: "get", method: "GET", query: get("query", "{who}"), status: 200, data: `{"who":"GUEST"}`},
		{name: "get with variables", method: "GET", query: get("query", "query q($k:Int!){text(kilobytes:$k)}", "variables", `{"k":0}`, "operationName", "q"), status: 200, data: `{"text":""}`},
		{name: "get without a query", method: "GET", status: 400, code: "BAD_REQUEST"},
		{name: "get with empty lists", method: "GET", query: get("query", "{who}", "variables", " [ ] ", "extensions", "[]"), status: 200, data: `{"who":"GUEST"}`},
		{name: "get with variables in quotes", method: "GET", query: get("query", "{who}", "variables", `""`), status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "get with bad variables", method: "GET", query: get("query", "{who}", "variables", "[1]"), status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "get with more than variables", method: "GET", query: get("query", "{who}", "variables", "{} {}"), status: 400, code: "BAD_REQUEST", message: "variables"},
		{name: "get with invalid UTF-8", method: "GET", query: "?query=%ff", status: 400, code: "BAD_REQUEST", message: "UTF-8"},
		{name: "get with a malformed URL", method: "GET", query: "?query=%zz", status: 400, code: "BAD_REQUEST"},
		{name: "get refuses mutations", method: "GET", query: get("query", "mutation{logout}"), status: 405, code: "BAD_REQUEST", want: map[string]string{"Allow": "POST"}},
		{name: "put", method: "PUT", body: typename, status: 405, code: "BAD_REQUEST", want: map[string]string{"Allow": "GET, POST, OPTIONS"}},

		{name: "origin on the list", body: typename, header: map[string]string{"Origin": "https://chat.example.com"}, status: 200, data: `{"__typename":"Query"}`,
			want: map[string]string{"Access-Control-Allow-Origin": "https://chat.example.com", "Access-Control-Expose-Headers": "X-Request-Id", "Vary": "Origin, Accept"}},
		{name: "origin off the list", body: typename, header: map[string]string{"Origin": "https://evil.example.com"}, status: 200, data: `{"__typename":"Query"}`,
			want: map[string]string{"Access-Control-Allow-Origin": ""}},
		{name: "preflight", method: "OPTIONS", header: map[string]string{"Origin": "https://chat.example.com", "Access-Control-Request-Method": "POST"}, status: 204,
			want: map[string]string{"Access-Control-Allow-Origin": "https://chat.example.com", "Access-Control-Allow-Methods": "GET, POST",
				"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-Id, X-Platform, " +
					"Apollographql-Client-Name, Apollographql-Client-Version, Apollo-Require-Preflight, X-Apollo-Operation-Name, Traceparent, Tracestate, Baggage",
				"Vary": "Origin, Access-Control-Request-Method"}},
		{name: "options", method: "OPTIONS", status: 204,
			want: map[string]string{"Allow": "GET, POST, OPTIONS", "Access-Control-Allow-Headers": "", "Vary": "Origin, Access-Control-Request-Method"}},
		{name: "preflight off the list", method: "OPTIONS", header: map[string]string{"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}, status: 403,
			want: map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Vary": "Origin, Access-Control-Request-Method"}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, w.http.URL) })
	}
	if log := w.log.String(); strings.Contains(log, "Bearer") || strings.Contains(log, "kilobytes") {
		t.Error("the log has a token or a document in it")
	}
}

func (c *exchangeCase) run(t *testing.T, base string) {
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, base+c.query, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", mediaJSON)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != c.status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, c.status, body)
	}
	for name, want := range c.want {
		if got := strings.Join(resp.Header.Values(name), ", "); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if resp.Header.Get(headerRequestID) == "" {
		t.Error("no request ID")
	}
	if method == http.MethodOptions {
		return
	}
	c.checkBody(t, resp, body)
}

func (c *exchangeCase) checkBody(t *testing.T, resp *http.Response, body []byte) {
	var got struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code, RequestID string }
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if string(got.Data) != c.data {
		t.Errorf("data is %s, want %s", got.Data, c.data)
	}
	if c.code == "" {
		if len(got.Errors) > 0 {
			t.Errorf("errors: %s", body)
		}
		return
	}
	if len(got.Errors) == 0 {
		t.Fatalf("no error, want %s: %s", c.code, body)
	}
	first := got.Errors[0]
	if first.Extensions.Code != c.code || !strings.Contains(first.Message, c.message) {
		t.Errorf("error %s %q, want %s %q", first.Extensions.Code, first.Message, c.code, c.message)
	}
	if first.Extensions.RequestID != resp.Header.Get(headerRequestID) {
		t.Errorf("the error's requestId is %q, the header's %q", first.Extensions.RequestID, resp.Header.Get(headerRequestID))
	}
	if bytes.Contains(body, []byte("secret-marker")) {
		t.Errorf("the request is repeated: %s", body)
	}
}

func TestHTTP_BodyWithoutLengthIsBounded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	body := io.MultiReader(strings.NewReader(`{"query":"`), io.LimitReader(spaces{}, 1<<20))
	resp, err := http.Post(w.http.URL, mediaJSON, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", resp.StatusCode)
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestPostParams_CompressedBySecondLine(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"query":"{who}"}`))
	r.Header = http.Header{"Content-Type": {mediaJSON}, "Content-Encoding": {"identity", "gzip"}}
	x := &exchange{w: httptest.NewRecorder(), r: r}
	if _, refused := x.postParams(); refused == nil || refused.status != http.StatusUnsupportedMediaType {
		t.Errorf("got %+v, want status 415", refused)
	}
}

func TestAccepted(t *testing.T) {
	for header, want := range map[string]acceptance{
		"":                                     {media: mediaJSON},
		"*/*":                                  {media: mediaJSON},
		"application/*":                        {media: mediaJSON},
		"text/html, */*;q=0.8":                 {media: mediaJSON},
		"application/json; charset=x":          {media: mediaJSON},
		mediaResponse + ", " + mediaJSON:       {media: mediaResponse},
		mediaJSON + ", " + mediaResponse:       {media: mediaJSON},
		mediaResponse + ";q=0.5, " + mediaJSON: {media: mediaJSON},
		mediaJSON + ";q=0, */*":                {media: mediaResponse},
		mediaResponse + ", */*":                {media: mediaResponse},
		"image/png":                            {},
		"application/json;q=nonsense":          {},
		mediaStream:                            {stream: true, streamFirst: true},
		mediaStream + ";q=0":                   {},
		mediaStream + ", " + mediaJSON:         {media: mediaJSON, stream: true, streamFirst: true},
		mediaResponse + ", " + mediaJSON + ", " + mediaStream: {media: mediaResponse, stream: true},
		mediaStream + ", */*":                                {media: mediaJSON, stream: true, streamFirst: true},
		"image/png|" + mediaResponse:                         {media: mediaResponse},
		mediaResponse + ";q=0.5|" + mediaJSON:                {media: mediaJSON},
		"|" + mediaStream:                                    {stream: true, streamFirst: true},
		`image/png;a="x, y", ` + mediaResponse + `;a="x, y"`: {media: mediaResponse},
	} {
		if got := accepted(http.Header{"Accept": strings.Split(header, "|")}); got != want {
			t.Errorf("accepted(%q) = %+v, want %+v", header, got, want)
		}
	}
}
