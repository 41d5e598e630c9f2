package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

const (
	givenTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	givenParent = "00f067aa0ba902b7"
)

// TestTraces_OfAMutationAndItsWebhook sends a mutation with a traceparent. Its spans, those of the
// statements below it and that of the webhook are of that trace, and none has personal data. They
// arrive before the server has ended.
func TestTraces_OfAMutationAndItsWebhook(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		receiver := testenv.NewTraces(t)
		traceparents := make(chan string, 10)
		hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			traceparents <- r.Header.Get("traceparent")
		}))
		defer hook.Close()
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		t.Setenv("ROLLCALL_WEBHOOK_ALLOW_PRIVATE", "true")
		t.Setenv("ROLLCALL_TRACES_URL", receiver.URL)
		t.Setenv("ROLLCALL_TRACES_HEADERS", "x-account=secret-of-the-account")
		t.Setenv("ROLLCALL_LOG_LEVEL", "debug")
		args := []string{}
		withRedis := strings.HasPrefix(url, "mysql:")
		if withRedis {
			args = append(args, "--redis-url", testenv.RedisURL(t))
		}
		n := start(t, url, args...)
		app := n.bearer()
		var made struct{ ID json.Number }
		key := appKey(t)
		status, out, errs := run(t, "", "webhook", "create", key, hook.URL, "--json")
		if err := json.Unmarshal([]byte(out), &made); status != 0 || err != nil {
			t.Fatalf("status %d, %s, %v", status, errs, err)
		}
		traced := func(token, method, url, body string) string {
			t.Helper()
			req, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("User-Agent", "planted-agent")
			req.Header.Set("traceparent", "00-"+givenTrace+"-"+givenParent+"-01")
			req.Header.Set("tracestate", "planted=state")
			_, text := do(t, req)
			return text
		}
		response := traced(app, http.MethodPost, n.base+"/graphql?planted-query", `{"query":"mutation Plant { registerUser(input: {id: \"planted-id\", name: \"Planted Name\"}) { token } }"}`)
		var registered struct {
			Data struct{ RegisterUser struct{ Token string } }
		}
		if err := json.Unmarshal([]byte(response), &registered); err != nil || registered.Data.RegisterUser.Token == "" {
			t.Fatalf("the response is %s", response)
		}
		traced(app, http.MethodPost, n.base+"/graphql", `{"query":"{ user(id: \"planted-id\") { name friends(first: 1) { totalCount } } users(ids: [\"planted-none\"]) { id } }"}`)
		traced(app, http.MethodGet, n.base+"/console/apps/"+key+"/users/planted-id", "")
		traced(registered.Data.RegisterUser.Token, http.MethodPost, n.base+"/graphql", `{"query":"mutation { unsubscribeStatus(input: {all: true}) { __typename } }"}`)
		var passed string
		select {
		case passed = <-traceparents:
		case <-time.After(20 * time.Second):
			t.Fatal("no webhook has arrived")
		}
		n.end()

		operation := receiver.Find(givenTrace, "mutation")
		if len(operation) != 2 || testenv.Attribute(operation[0], "graphql.operation.name") != "Plant" {
			t.Fatalf("the mutations are %v", operation)
		}
		request := receiver.Find(givenTrace, "POST /graphql")
		if len(request) != 3 || hex.EncodeToString(request[0].ParentSpanId) != givenParent || !bytes.Equal(request[0].SpanId, operation[0].ParentSpanId) {
			t.Errorf("the requests are %v", request)
		}
		insert := receiver.Find(givenTrace, "INSERT users")
		if len(insert) != 1 {
			t.Fatalf("the insertions are %v", insert)
		}
		if path := receiver.Path(insert[0]); !slices.Equal(path[:3], []string{"POST /graphql", "mutation", "transaction"}) {
			t.Errorf("the statement is at %q", path)
		}
		if text := testenv.Attribute(insert[0], "db.query.text"); !strings.Contains(text, "?") {
			t.Errorf("the statement is %q", text)
		}
		if len(receiver.Find(givenTrace, "SELECT users")) == 0 {
			t.Error("the query has no statement")
		}
		if len(receiver.Find(givenTrace, "GET /console/apps/{key}/users/{id}")) != 1 {
			t.Error("the page of the console has no span with its route")
		}
		sent := receiver.Find(givenTrace, "webhook")
		if len(sent) != 1 || passed != "00-"+givenTrace+"-"+hex.EncodeToString(sent[0].SpanId)+"-01" {
			t.Errorf("the deliveries are %v; the webhook has the traceparent %q", sent, passed)
		}
		if commands := receiver.Find(givenTrace, "EVALSHA"); withRedis != (len(commands) > 0) {
			t.Errorf("the commands of Redis are %v", commands)
		}
		for _, planted := range []string{"planted", "Planted", registered.Data.RegisterUser.Token, app, key, "secret-of-the-account", "127.0.0.1"} {
			if raw := receiver.Raw(); strings.Contains(raw, planted) {
				at := strings.Index(raw, planted)
				t.Errorf("the spans have %q: %q", planted, raw[max(0, at-200):min(len(raw), at+200)])
			}
		}
		if log := n.err.String(); !strings.Contains(log, `"traceId":"`+givenTrace+`"`) {
			t.Errorf("the log does not name the trace: %s", log)
		}
	})
}

// TestTraces_OffWithoutAURL checks that nothing of OpenTelemetry runs.
func TestTraces_OffWithoutAURL(t *testing.T) {
	start(t, testenv.SQLiteURL(t))
	var running strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&running, 2); err != nil {
		t.Fatal(err)
	}
	if text := running.String(); strings.Contains(text, "opentelemetry") || strings.Contains(text, "internal/tracing") {
		t.Error(text)
	}
}

// TestTraces_ReceiverIsAway checks that a server without its receiver serves and ends as usual.
func TestTraces_ReceiverIsAway(t *testing.T) {
	t.Setenv("ROLLCALL_TRACES_URL", "http://127.0.0.1:1")
	n := start(t, testenv.SQLiteURL(t), "--drain-timeout", "100ms")
	if status, text := get(t, n.base+"/healthz"); status != http.StatusOK {
		t.Errorf("status %d, %s", status, text)
	}
	begun := time.Now()
	if status := n.end(); status != exitOK || time.Since(begun) > 10*time.Second {
		t.Errorf("ended with %d after %s: %s", status, time.Since(begun), n.err.String())
	}
	if !strings.Contains(n.err.String(), "the last traces were not exported") {
		t.Errorf("the log is %s", n.err.String())
	}
}
