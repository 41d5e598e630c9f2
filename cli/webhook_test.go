package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/testenv"
)

// TestWebhook runs all commands beside a server, which calls a receiver.
func TestWebhook(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		t.Setenv("ROLLCALL_WEBHOOK_ALLOW_PRIVATE", "true")
		var mu sync.Mutex
		var secret string
		status := http.StatusOK
		kinds := make(chan string, 100)
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			body, _ := io.ReadAll(r.Body)
			verifier, err := standardwebhooks.NewWebhook(secret)
			if err == nil {
				err = verifier.Verify(body, r.Header)
			}
			var event struct{ Type string }
			if err != nil || json.Unmarshal(body, &event) != nil {
				t.Errorf("%s: %v", body, err)
			}
			w.WriteHeader(status)
			if status == http.StatusOK {
				kinds <- event.Type
			}
		}))
		defer receiver.Close()
		next := func() string {
			t.Helper()
			select {
			case kind := <-kinds:
				return kind
			case <-time.After(20 * time.Second):
				t.Fatal("no event has arrived")
				return ""
			}
		}
		n := start(t, url)
		app := n.bearer()
		ok := func(args ...string) string {
			t.Helper()
			code, out, errs := run(t, "", append([]string{"webhook"}, args...)...)
			if code != 0 {
				t.Fatalf("webhook %s: status %d, %s", strings.Join(args, " "), code, errs)
			}
			return out
		}
		key := appKey(t)
		var made endpointJSON
		create := func(args ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if err := json.Unmarshal([]byte(ok(args...)), &made); err != nil || !strings.HasPrefix(made.Secret, "whsec_") || made.Format != "rollcall" {
				t.Fatalf("%+v, %v", made, err)
			}
			secret = made.Secret
		}
		create("create", key, receiver.URL, "--events", "user.registered, user.banned", "--json")
		id := fmt.Sprint(made.ID)
		if out := ok("list", key); !strings.Contains(out, "user.registered,user.banned") || strings.Contains(out, "whsec_") {
			t.Errorf("the list is %s", out)
		}
		if code, body := n.post(app, `{"query":"mutation { registerUser(input: {id: \"ann\", name: \"Ann\"}) { created } }"}`); code != 200 || strings.Contains(body, "errors") {
			t.Fatal(body)
		}
		if kind := next(); kind != "user.registered" {
			t.Errorf("the event is %s", kind)
		}
		if out := ok("test", key, id); !strings.HasPrefix(out, "delivered: status 200") || next() != "endpoint.test" {
			t.Errorf("the test: %s", out)
		}
		create("rotate-secret", key, id, "--grace", "0s", "--json")
		mu.Lock()
		status = http.StatusTeapot
		mu.Unlock()
		if code, _, errs := run(t, "", "webhook", "test", key, id); code != 1 || !strings.Contains(errs, "not delivered: status 418") {
			t.Errorf("the test of a receiver that fails: status %d, %s", code, errs)
		}
		mu.Lock()
		status = http.StatusOK
		mu.Unlock()
		var list []deliveryJSON
		if err := json.Unmarshal([]byte(ok("deliveries", key, id, "--json")), &list); err != nil || len(list) != 3 ||
			list[0].State != "PENDING" || list[0].LastStatus != 418 || list[2].State != "DELIVERED" || list[2].UserID != "ann" {
			t.Errorf("the deliveries are %+v, %v", list, err)
		}
		if out := ok("replay", key, id, fmt.Sprint(list[2].ID)); !strings.HasPrefix(out, "1 deliveries") || next() == "" {
			t.Errorf("replayed %s", out)
		}
		ok("enable", key, id)
		// The secret is encrypted with the token keys.
		first := tokenKeys(t)[0].ID
		for _, args := range [][]string{{"token-key", "rotate"}, {"token-key", "retire", first}} {
			if code, _, errs := run(t, "", args...); code != 0 {
				t.Fatalf("%s: status %d, %s", args, code, errs)
			}
		}
		if out := ok("test", key, id); !strings.HasPrefix(out, "delivered") || next() != "endpoint.test" {
			t.Errorf("after the token keys were changed: %s", out)
		}
		ok("delete", key, id)
		for args, want := range map[string]string{
			"list unknown":                            "there is no app",
			"delete " + key + " " + id:                "no endpoint with that ID",
			"replay " + key + " " + id + " x":         "not the ID of a delivery",
			"create " + key + " ftp://a.b":            "url",
			"create " + key + " https://a --events x": "no events of the type",
			"create " + key + " https://a --format x": "format must be rollcall",
		} {
			if code, _, errs := run(t, "", append([]string{"webhook"}, strings.Fields(args)...)...); code != 2 || !strings.Contains(errs, want) {
				t.Errorf("webhook %s: status %d, %s", args, code, errs)
			}
		}
		t.Setenv("ROLLCALL_WEBHOOK_ALLOW_PRIVATE", "false")
		if code, _, errs := run(t, "", "webhook", "create", key, receiver.URL); code != 2 || !strings.Contains(errs, "ROLLCALL_WEBHOOK_ALLOW_PRIVATE") {
			t.Errorf("an http URL: status %d, %s", code, errs)
		}
		if n.end() != 0 {
			t.Error("the server has failed")
		}
	})
}

// appKey returns the key of the first app.
func appKey(t *testing.T) string {
	t.Helper()
	_, out, _ := run(t, "", "app", "list", "--json")
	var list []appJSON
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) == 0 {
		t.Fatalf("%s: %v", out, err)
	}
	return list[0].Key
}
