package cli

import (
	"net/http"
	"os"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"

	"rollcall/internal/testenv"
)

var servedOps = regexp.MustCompile(`"ops":"(http://[^"]+)"`)

// opsBase returns the URL of the operators' own address.
func (n *server) opsBase() string {
	n.t.Helper()
	found := servedOps.FindStringSubmatch(n.err.String())
	if found == nil {
		n.t.Fatalf("no address for operators: %s", n.err.String())
	}
	return found[1]
}

// TestOps_OwnHostsOnly sends requests as a browser does for a page whose host name resolves to this
// server, and as monitoring does.
func TestOps_OwnHostsOnly(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--ops-listen", "127.0.0.1:0", "--ops-hosts", "Metrics.example.,rollcall")
	base := n.opsBase()
	for host, want := range map[string]int{
		"":                       200, // the host of opsBase
		"127.0.0.1":              200,
		"10.1.2.3:8081":          200,
		"[::1]:8081":             200,
		"[::1]":                  200,
		"localhost:8081":         200,
		"LOCALHOST.":             200,
		"metrics.example:8081":   200,
		"rollcall":               200,
		"evil.example":           403,
		"evil.example:8081":      403,
		"localhost.evil.example": 403,
		"127.0.0.1.evil.example": 403,
		"notrollcall":            403,
		"2130706433":             403, // browsers do not send addresses in this form
	} {
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
			req, err := http.NewRequest(http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			status, body := do(t, req)
			if status != want {
				t.Errorf("%s with Host %q: %d, want %d", path, host, status, want)
			}
			if status == 403 && !strings.Contains(body, "ROLLCALL_OPS_HOSTS") {
				t.Errorf("the refusal does not name the setting: %s", body)
			}
		}
	}
	for site, want := range map[string]int{"none": 200, "same-origin": 200, "same-site": 403, "cross-site": 403} {
		req, err := http.NewRequest(http.MethodGet, base+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", site)
		if status, _ := do(t, req); status != want {
			t.Errorf("Sec-Fetch-Site %s: %d, want %d", site, status, want)
		}
	}
}

// TestOps_ShowsNoSecret searches all pages of the operators' own address for the secrets with which
// the server was started.
func TestOps_ShowsNoSecret(t *testing.T) {
	secrets := []string{"tidy-harbour-lantern", "key-of-at-least-thirty-two-characters", "app-secret-of-a-caller"}
	args := []string{"--ops-listen", "127.0.0.1:0", "--admin-password", secrets[0], "--token-key", secrets[1]}
	osArgs := os.Args
	os.Args = append([]string{"rollcall", "serve"}, args...)
	defer func() { os.Args = osArgs }()
	n := start(t, testenv.SQLiteURL(t), args...)
	secrets = append(secrets, regexp.MustCompile(`(?m)^App secret +(\S+)$`).FindStringSubmatch(n.banner())[1])

	// A caller sends secrets, and its requests have metrics.
	for _, body := range []string{
		`{"query":"mutation{issueAppToken(input:{appKey:\"` + secrets[2] + `\",appSecret:\"` + secrets[2] + `\"}){token}}"}`,
		`{"query":"query ` + strings.ReplaceAll(secrets[2], "-", "_") + `{__typename}"}`,
	} {
		resp, err := http.Post(n.base+"/graphql", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	secrets = append(secrets, strings.ReplaceAll(secrets[2], "-", "_"))

	paths := []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/trace?seconds=0.1"}
	for _, profile := range pprof.Profiles() {
		for _, debug := range []string{"0", "1", "2"} {
			paths = append(paths, "/debug/pprof/"+profile.Name()+"?debug="+debug)
		}
	}
	for _, path := range paths {
		status, body := get(t, n.opsBase()+path)
		if status != 200 || body == "" {
			t.Errorf("%s: %d, %d bytes", path, status, len(body))
		}
		for _, secret := range secrets {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %s", path, secret)
			}
		}
	}
	if _, body := get(t, n.opsBase()+"/debug/pprof/cmdline"); body != "rollcall" {
		t.Errorf("the command line: %q", body)
	}
	if status, _ := get(t, n.opsBase()+"/debug/vars"); status != 404 {
		t.Errorf("expvar: %d", status)
	}
}

func TestMetrics_CountErrorsByCode(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--ops-listen=127.0.0.1:0")
	for _, query := range []string{"{ me { id } }", "{ nothing }"} {
		resp, err := http.Post(n.base+"/graphql", "application/json", strings.NewReader(`{"query":"`+query+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	_, metrics := get(t, n.opsBase()+"/metrics")
	for _, want := range []string{
		`rollcall_errors_total{code="UNAUTHENTICATED"} 1`, `rollcall_errors_total{code="GRAPHQL_VALIDATION_FAILED"} 1`,
		`rollcall_errors_total{code="UNAVAILABLE"} 0`, `rollcall_errors_total{code="INTERNAL"} 0`,
		`rollcall_database_usable 1`, `rollcall_build_info{version="` + Version + `"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
