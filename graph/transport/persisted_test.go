package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func hashOf(query string) string {
	sum := sha256.Sum256([]byte(query))
	return hex.EncodeToString(sum[:])
}

// persistedBody returns a request's JSON with the extension persistedQuery; without a query if it
// is "".
func persistedBody(query, hash string) string {
	return extendedBody(query, fmt.Sprintf(`{"version":1,"sha256Hash":%q}`, hash))
}

func extendedBody(query, extension string) string {
	var head string
	if query != "" {
		text, _ := json.Marshal(query)
		head = `"query":` + string(text) + `,`
	}
	return "{" + head + `"extensions":{"persistedQuery":` + extension + `}}`
}

// reply is a response to a persisted query.
type reply struct {
	status  int
	media   string
	data    string
	code    string
	message string
}

// persisted sends a request; token and accept are optional.
func (w *world) persisted(method, token, accept, body string) reply {
	w.t.Helper()
	resp, text := w.exchange(httpCall{method, token, accept, strings.NewReader(body)})
	var got struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code, RequestID string }
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	if cache := resp.Header.Get("Cache-Control"); cache != "no-store" {
		w.t.Errorf("Cache-Control is %q", cache)
	}
	r := reply{status: resp.StatusCode, media: resp.Header.Get("Content-Type"), data: string(got.Data)}
	if len(got.Errors) > 0 {
		r.code, r.message = got.Errors[0].Extensions.Code, got.Errors[0].Message
		if got.Errors[0].Extensions.RequestID == "" {
			w.t.Error("no requestId")
		}
	}
	return r
}

// lookUp sends the hash of query alone by POST, and returns the data or the error's code.
func (w *world) lookUp(token, query string) string {
	w.t.Helper()
	r := w.persisted(viaPost, token, mediaJSON, persistedBody("", hashOf(query)))
	return r.data + r.code
}

// register sends query with its hash by POST, and returns the data or the error's code.
func (w *world) register(token, query string) string {
	w.t.Helper()
	r := w.persisted(viaPost, token, mediaJSON, persistedBody(query, hashOf(query)))
	return r.data + r.code
}

const notFound = "PERSISTED_QUERY_NOT_FOUND"

// TestPersistedQuery_HTTP registers a document by one method and looks it up by another, with each
// media type.
func TestPersistedQuery_HTTP(t *testing.T) {
	w := newWorld(t, worldOptions{})
	n := 0
	for _, accept := range []string{mediaJSON, mediaResponse} {
		for _, register := range []string{viaPost, viaGet} {
			for _, lookUp := range []string{viaPost, viaGet} {
				n++
				t.Run(fmt.Sprint(accept, " ", register, " ", lookUp), func(t *testing.T) {
					w := w.on(t)
					query := fmt.Sprintf("{who a%d: __typename}", n)
					media := accept + "; charset=utf-8"
					want := reply{status: 200, media: media, code: notFound, message: "PersistedQueryNotFound"}
					if got := w.persisted(lookUp, "app", accept, persistedBody("", hashOf(query))); got != want {
						t.Errorf("before: %+v, want %+v", got, want)
					}
					want = reply{status: 200, media: media, data: fmt.Sprintf(`{"who":"APP_SERVER","a%d":"Query"}`, n)}
					if got := w.persisted(register, "app", accept, persistedBody(query, hashOf(query))); got != want {
						t.Errorf("registered: %+v, want %+v", got, want)
					}
					if got := w.persisted(lookUp, "app", accept, persistedBody("", hashOf(query))); got != want {
						t.Errorf("after: %+v, want %+v", got, want)
					}
				})
			}
		}
	}
	if stored := testutil.ToFloat64(w.server.metrics.persisted.WithLabelValues("stored")); stored != float64(n) {
		t.Errorf("%v documents counted as stored, want %d", stored, n)
	}
}

// TestPersistedQuery_OfOneApp registers a document as one caller and looks it up as others.
func TestPersistedQuery_OfOneApp(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const query = "{who}"
	if got := w.register("u0", query); got != `{"who":"USER"}` {
		t.Fatalf("registered: %s", got)
	}
	for token, want := range map[string]string{
		"u0": `{"who":"USER"}`, "u1": `{"who":"USER"}`, "app": `{"who":"APP_SERVER"}`,
		"other": notFound, "": notFound, "x": "UNAUTHENTICATED",
	} {
		if got := w.lookUp(token, query); got != want {
			t.Errorf("token %q: %s, want %s", token, got, want)
		}
	}
	// The other app stores its own copy.
	if got := w.register("other", query); got != `{"who":"APP_SERVER"}` {
		t.Errorf("registered by the other app: %s", got)
	}
	if got := w.lookUp("other", query); got != `{"who":"APP_SERVER"}` {
		t.Errorf("looked up by the other app: %s", got)
	}
}

func TestPersistedQuery_GuestsStoreNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const query = "{who guest: __typename}"
	if got := w.register("", query); got != `{"who":"GUEST","guest":"Query"}` {
		t.Errorf("a guest's document: %s", got)
	}
	for _, token := range []string{"", "app", "other"} {
		if got := w.lookUp(token, query); got != notFound {
			t.Errorf("then token %q: %s", token, got)
		}
	}
	if got := w.server.persisted.bytes; got != 0 {
		t.Errorf("%d bytes stored", got)
	}
}

// TestPersistedQuery_BadExtension sends extensions that cannot be used, by POST, GET and WebSocket.
func TestPersistedQuery_BadExtension(t *testing.T) {
	w := newWorld(t, worldOptions{})
	hash := hashOf("{who}")
	socket := w.connect("app")
	for i, c := range []struct{ query, extension, message string }{
		{"{who}", `{"version":1,"sha256Hash":"` + hashOf("{who }") + `"}`, "extensions.persistedQuery.sha256Hash is not the SHA-256 hash of the query"},
		{"", `{"version":2,"sha256Hash":"` + hash + `"}`, "extensions.persistedQuery.version must be 1"},
		{"{who}", `{"version":2,"sha256Hash":"` + hash + `"}`, "extensions.persistedQuery.version must be 1"},
		{"", `{"version":"1","sha256Hash":"` + hash + `"}`, "extensions.persistedQuery.version must be 1"},
		{"", `{"sha256Hash":"` + hash + `"}`, "extensions.persistedQuery.version must be 1"},
		{"", `{"version":1}`, "extensions.persistedQuery.sha256Hash must be 64 lower-case hexadecimal digits"},
		{"", `{"version":1,"sha256Hash":7}`, "extensions.persistedQuery.sha256Hash must be"},
		{"", `{"version":1,"sha256Hash":""}`, "extensions.persistedQuery.sha256Hash must be"},
		{"", `{"version":1,"sha256Hash":"` + hash[1:] + `"}`, "extensions.persistedQuery.sha256Hash must be"},
		{"", `{"version":1,"sha256Hash":"` + hash + `00"}`, "extensions.persistedQuery.sha256Hash must be"},
		{"", `{"version":1,"sha256Hash":"` + hash[1:] + `g"}`, "extensions.persistedQuery.sha256Hash must be"},
		{"{who}", `{"version":1,"sha256Hash":"` + strings.ToUpper(hash) + `"}`, "extensions.persistedQuery.sha256Hash must be"},
		{"", `[]`, "extensions.persistedQuery must be a JSON object"},
		{"", `"` + hash + `"`, "extensions.persistedQuery must be a JSON object"},
		{"", `true`, "extensions.persistedQuery must be a JSON object"},
		{"", `null`, "query"},
	} {
		body := extendedBody(c.query, c.extension)
		for _, method := range []string{viaPost, viaGet} {
			got := w.persisted(method, "app", mediaJSON, body)
			if got.status != 400 || got.code != "BAD_REQUEST" || !strings.Contains(got.message, c.message) {
				t.Errorf("%s %s: %+v, want %q", method, body, got, c.message)
			}
		}
		if c.extension == "null" {
			continue // the message itself is malformed
		}
		id := fmt.Sprint("bad", i)
		socket.send(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":%s}`, id, body))
		socket.expectError(id, "BAD_REQUEST")
	}
	if got := w.server.persisted.bytes; got != 0 {
		t.Errorf("%d bytes stored", got)
	}
	// Other entries are ignored: urql adds one.
	if got := w.persisted(viaPost, "app", mediaJSON, extendedBody("{who}", `{"version":1.0,"sha256Hash":"`+hash+`","miss":true}`)); got.data != `{"who":"APP_SERVER"}` {
		t.Errorf("with a further entry: %+v", got)
	}
}

// TestPersistedQuery_RefusedIsNotStored sends documents that are not executed.
func TestPersistedQuery_RefusedIsNotStored(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for query, code := range map[string]string{
		"{":                                  "GRAPHQL_PARSE_FAILED",
		"{nope}":                             "GRAPHQL_VALIDATION_FAILED",
		"# empty":                            "GRAPHQL_VALIDATION_FAILED",
		"query($k:Int!){text(kilobytes:$k)}": "GRAPHQL_VALIDATION_FAILED", // no variables
		`{__type(name:"\ud83d"){name}}`:      "BAD_REQUEST",
	} {
		if got := w.register("app", query); got != code {
			t.Errorf("%s: %s, want %s", query, got, code)
		}
		if got := w.lookUp("app", query); got != notFound {
			t.Errorf("%s is found: %s", query, got)
		}
	}
	if got := w.server.persisted.bytes; got != 0 {
		t.Errorf("%d bytes stored", got)
	}
}

// TestPersistedQuery_HashOfTheTextAsSent has a document that is translated before it is parsed.
func TestPersistedQuery_HashOfTheTextAsSent(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const query = `{__type(name:"\ud83d\ude00 \u{1F600} \u{5c}u{41}"){name} who}`
	for _, ask := range []func(token, query string) string{w.register, w.lookUp, w.lookUp} {
		if got := ask("app", query); !strings.Contains(got, `"who":"APP_SERVER"`) {
			t.Errorf("got %s", got)
		}
	}
}

func TestPersistedQuery_MutationNeedsPOST(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const query = "mutation{logout}"
	if got := w.register("u0", query); got != `{"logout":true}` {
		t.Fatalf("registered: %s", got)
	}
	if got := w.persisted(viaGet, "u0", mediaJSON, persistedBody("", hashOf(query))); got.status != 405 || got.code != "BAD_REQUEST" {
		t.Errorf("by GET: %+v", got)
	}
	if got := w.lookUp("u0", query); got != `{"logout":true}` {
		t.Errorf("by POST: %s", got)
	}
}

func TestPersistedQuery_SSE(t *testing.T) {
	w := newWorld(t, worldOptions{})
	body := persistedBody("", hashOf(watchU1))
	w.streamRequest(viaPost, "", body, "app").expectEnd(notFound)
	w.streamRequest(viaGet, w.parameters(strings.NewReader(body)), "", "app").expectEnd(notFound)

	first := w.streamRequest(viaPost, "", persistedBody(watchU1, hashOf(watchU1)), "app")
	first.expect(sseStatus("u1", "UNLOGINED"))
	byHash := w.streamRequest(viaPost, "", body, "u0")
	byHash.expect(sseStatus("u1", "UNLOGINED"))
	w.online(1)
	byHash.expect(sseStatus("u1", "ONLINE"))
	w.streamRequest(viaPost, "", body, "other").expectEnd(notFound)
}

func TestPersistedQuery_WebSocket(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c, other := w.connect("app"), w.connect("other")
	subscribe := func(c *client, id, query, hash string) {
		t.Helper()
		c.send(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":%s}`, id, persistedBody(query, hash)))
	}
	subscribe(c, "1", "", hashOf("{who}"))
	c.expectError("1", notFound)
	subscribe(c, "1", "{who}", hashOf("{who }"))
	c.expectError("1", "BAD_REQUEST")
	for _, query := range []string{"{who}", ""} {
		subscribe(c, "1", query, hashOf("{who}"))
		c.expect(`{"id":"1","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
		c.expect(`{"id":"1","type":"complete"}`)
	}
	for i, query := range []string{watchU1, ""} {
		id := fmt.Sprint("s", i)
		subscribe(c, id, query, hashOf(watchU1))
		c.expect(statusOf(id, "u1", "UNLOGINED"))
	}
	subscribe(other, "1", "", hashOf(watchU1))
	other.expectError("1", notFound)
	if got := w.lookUp("u0", "{who}"); got != `{"who":"USER"}` {
		t.Errorf("by POST: %s", got)
	}
}

// TestPersistedQuery_Off has a server that stores nothing: a hash alone is refused, and the
// extension is ignored if the document is sent with it.
func TestPersistedQuery_Off(t *testing.T) {
	w := newWorld(t, worldOptions{persistedOff: true})
	const code = "PERSISTED_QUERY_NOT_SUPPORTED"
	alone := persistedBody("", hashOf("{who}"))
	for _, method := range []string{viaPost, viaGet} {
		for _, accept := range []string{mediaJSON, mediaResponse} {
			want := reply{status: 200, media: accept + "; charset=utf-8", code: code, message: "PersistedQueryNotSupported"}
			if got := w.persisted(method, "app", accept, alone); got != want {
				t.Errorf("%s: %+v, want %+v", method, got, want)
			}
		}
		for _, extension := range []string{`{"version":1,"sha256Hash":"` + hashOf("{who}") + `"}`, `{"version":2}`} {
			if got := w.persisted(method, "app", mediaJSON, extendedBody("{who}", extension)); got.data != `{"who":"APP_SERVER"}` {
				t.Errorf("%s with a document: %+v", method, got)
			}
		}
	}
	w.streamRequest(viaPost, "", alone, "app").expectEnd(code)
	c := w.connect("app")
	c.send(`{"id":"1","type":"subscribe","payload":` + alone + `}`)
	c.expectError("1", code)
	c.send(`{"id":"1","type":"subscribe","payload":` + persistedBody("{who}", hashOf("{who}")) + `}`)
	c.expect(`{"id":"1","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
}

// TestPersistedQuery_Bounded registers more documents than fit.
func TestPersistedQuery_Bounded(t *testing.T) {
	const limit = 4096
	w := newWorld(t, worldOptions{limits: Limits{PersistedBytes: limit}})
	query := func(i int) string { return fmt.Sprintf("{who a%03d: __typename}", i) }
	size := len(query(0)) + storedQueryOverhead
	fit := limit / size
	for i := range 3 * fit {
		w.register("app", query(i))
		if w.lookUp("app", query(0)) == notFound {
			t.Fatal("the document in use was evicted")
		}
	}
	found := 0
	for i := range 3 * fit {
		if w.lookUp("app", query(i)) != notFound {
			found++
		}
	}
	if found != fit || w.lookUp("app", query(3*fit-1)) == notFound {
		t.Errorf("%d documents are stored, want the newest %d", found, fit)
	}
	if got := testutil.ToFloat64(w.server.metrics.persistedBytes); got != float64(fit*size) {
		t.Errorf("the gauge says %v bytes, want %d", got, fit*size)
	}
	long := "{who} #" + strings.Repeat("x", limit)
	if got := w.register("app", long); got != `{"who":"APP_SERVER"}` {
		t.Errorf("a document longer than the bound: %s", got)
	}
	if w.lookUp("app", long) != notFound || w.lookUp("app", query(0)) == notFound {
		t.Error("a document longer than the bound displaced others")
	}
}

// TestPersistedQueries_FairShare has one app register documents without end while others have a
// few.
func TestPersistedQueries_FairShare(t *testing.T) {
	const size = 1 << 10
	q := newPersistedQueries(64*size, newMetrics(nil))
	text := strings.Repeat("x", size-storedQueryOverhead)
	hash := func(i int) queryHash { return queryHash{byte(i), byte(i >> 8)} }
	for app := range int64(4) {
		for i := range 15 {
			q.add(app, hash(i), text)
		}
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 1000 {
				q.add(99, hash(i), text)
			}
		})
	}
	group.Wait()
	for app := range int64(4) {
		for i := range 12 { // its share: 64 / 5
			if !q.apps[app].texts.Contains(hash(14 - i)) {
				t.Fatalf("app %d has lost its document %d", app, 14-i)
			}
		}
	}
	if q.bytes > q.limit {
		t.Errorf("%d bytes stored, at most %d may be", q.bytes, q.limit)
	}
	sum := 0
	for _, of := range q.apps {
		sum += of.bytes
		if of.bytes != of.texts.Len()*size {
			t.Errorf("%d bytes for %d documents", of.bytes, of.texts.Len())
		}
	}
	if sum != q.bytes {
		t.Errorf("the apps have %d bytes, all %d", sum, q.bytes)
	}
}
