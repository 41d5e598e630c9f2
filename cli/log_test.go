package cli

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

// TestRequestLog checks that the log line of a request has the app's key or the operator's name,
// and a duration with its unit.
func TestRequestLog(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--log-level", "debug", "--admin-password", "correct horse battery")
	banner := n.banner()
	bearer := regexp.MustCompile(`Authorization: (Bearer \S+)'`).FindStringSubmatch(banner)[1]
	key := regexp.MustCompile(`App key +(\S+)`).FindStringSubmatch(banner)[1]
	for operation, authorization := range map[string]string{
		"Several": bearer, "Nobody": "",
	} {
		field := map[string]string{"Several": `users(ids: [\"ann\"]) { id }`, "Nobody": "__typename"}[operation]
		req, err := http.NewRequest(http.MethodPost, n.base+"/graphql", strings.NewReader(`{"query": "query `+operation+` { `+field+` }"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	resp, err := browser.PostForm(n.base+"/console/login", url.Values{"name": {"admin"}, "password": {"correct horse battery"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	n.end()

	found := make(map[string]string) // the caller, by what was requested
	for line := range strings.Lines(n.err.String()) {
		var entry struct {
			Msg, Operation, App, Route, Operator string
			Status                               int
			Took                                 any
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch entry.Msg {
		case "request":
			found[entry.Operation] = entry.App
		case "console request":
			found[entry.Route] = entry.Operator
		default:
			continue
		}
		took, _ := entry.Took.(string)
		if d, err := time.ParseDuration(took); err != nil || d < 0 {
			t.Errorf("it took %v: %s", entry.Took, line)
		}
	}
	for what, who := range map[string]string{
		"Several": key, "Nobody": "", "POST /console/login": "", "GET /console/{$}": "admin",
	} {
		if got, ok := found[what]; !ok || got != who {
			t.Errorf("%s: by %q (%t), want %q", what, got, ok, who)
		}
	}
}
