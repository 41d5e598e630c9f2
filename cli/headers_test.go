package cli

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

var (
	muxPattern     = regexp.MustCompile(`mux\.Handle(?:Func)?\("([^"]+)"`)
	consolePattern = regexp.MustCompile(`(?m)^\t\{"([^"]+)", `)
)

// patterns returns the patterns that the source file registers, found by a regular expression.
func patterns(t *testing.T, file string, pattern *regexp.Regexp) []string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, match := range pattern.FindAllSubmatch(source, -1) {
		list = append(list, string(match[1]))
	}
	if len(list) == 0 {
		t.Fatalf("no routes in %s", file)
	}
	return list
}

// headed sends requests to a node and checks the headers of all responses.
type headed struct {
	t      *testing.T
	client *http.Client
	// https means that the requests come through a trusted proxy, which the client reached over
	// TLS.
	https bool
	sent  int
}

func (h *headed) send(method, target string, header http.Header, body string) *http.Response {
	h.t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if h.https {
		req.Header.Set("X-Forwarded-Proto", "https")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	h.check(method+" "+target, resp)
	return resp
}

func (h *headed) check(what string, resp *http.Response) {
	h.t.Helper()
	h.sent++
	if got := resp.Header.Values("X-Content-Type-Options"); len(got) != 1 || got[0] != "nosniff" {
		h.t.Errorf("%s: %d with X-Content-Type-Options %q", what, resp.StatusCode, got)
	}
	want := 0
	if h.https {
		want = 180 * 24 * 3600
	}
	got := resp.Header.Values("Strict-Transport-Security")
	if want == 0 && len(got) != 0 || want != 0 && (len(got) != 1 || got[0] != "max-age="+strconv.Itoa(want)) {
		h.t.Errorf("%s: %d with Strict-Transport-Security %q, over TLS: %v", what, resp.StatusCode, got, h.https)
	}
}

// TestHeaders_EveryRoute requests all routes with all methods, logged in and not, and also causes
// refusals and redirects.
func TestHeaders_EveryRoute(t *testing.T) {
	const password = "correct horse battery"
	n := start(t, testenv.SQLiteURL(t), "--ops-listen", "127.0.0.1:0", "--admin-password", password, "--trusted-proxies", "127.0.0.1")
	key := regexp.MustCompile(`(?m)^App key +(\S+)$`).FindStringSubmatch(n.banner())[1]
	fill := strings.NewReplacer("{$}", "", "{key}", key, "{id}", "ann", "{operator}", "1", "{job}", "1", "{session}", "1")
	var targets []string
	for base, files := range map[string]map[string]*regexp.Regexp{
		n.base:      {"../node/routes.go": muxPattern, "../console/routes.go": consolePattern},
		n.opsBase(): {"../node/ops.go": muxPattern},
	} {
		for file, pattern := range files {
			for _, route := range patterns(t, file, pattern) {
				method, path, found := strings.Cut(route, " ")
				if !found {
					method, path = "", route
				}
				switch path = base + fill.Replace(path); {
				case strings.HasSuffix(path, "/profile"):
					method, path = "GET", path+"?seconds=1"
				case strings.HasSuffix(path, "/trace"):
					method, path = "GET", path+"?seconds=0.01"
				}
				targets = append(targets, method+" "+path)
			}
		}
	}
	for _, path := range []string{"/nothing", "//console/", "/console", "/console/static/nothing.css", "/graphql/nothing"} {
		targets = append(targets, " "+n.base+path)
	}
	targets = append(targets, " "+n.opsBase()+"/", " "+n.opsBase()+"//metrics")

	for _, https := range []bool{false, true} {
		for _, operator := range []string{"", firstOperator} {
			h := &headed{t: t, https: https, client: &http.Client{
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}}
			var cookies http.Header
			if operator != "" {
				form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
				login := h.send("POST", n.base+"/console/login", form, url.Values{"name": {operator}, "password": {password}}.Encode())
				if login.StatusCode != http.StatusSeeOther {
					t.Fatalf("login: %d", login.StatusCode)
				}
				cookies = http.Header{"Cookie": {cookieLine(login)}}
				if page := h.send("GET", n.base+"/console/", cookies, ""); page.StatusCode != 200 {
					t.Fatalf("logged in: %d", page.StatusCode)
				}
			}
			for _, target := range targets {
				own, path, _ := strings.Cut(target, " ")
				if strings.HasSuffix(path, "/logout") || operator != "" && !strings.HasPrefix(path, n.base+"/console") {
					continue
				}
				for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
					if own != "" && own != method && (method != "DELETE" || strings.Contains(path, "?seconds=")) {
						continue // one case of the other methods is enough
					}
					h.send(method, path, cookies, "")
				}
			}
			h.send("POST", n.base+"/console/logout", cookies, "")
			h.refusals(n)
			if h.sent < 150 {
				t.Errorf("only %d requests were sent", h.sent)
			}
		}
	}
}

// cookieLine returns the Cookie header with the cookies that a response sets. A cookie jar would
// not send those that require TLS.
func cookieLine(resp *http.Response) string {
	var pairs []string
	for _, c := range resp.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// refusals sends requests that the handlers refuse, and requests that open a stream.
func (h *headed) refusals(n *server) {
	json := http.Header{"Content-Type": {"application/json"}}
	with := func(name, value string) http.Header {
		header := json.Clone()
		header.Set(name, value)
		return header
	}
	for what, c := range map[string]struct {
		header http.Header
		body   string
		want   int
	}{
		"a query":                {json, `{"query":"{__typename}"}`, 200},
		"no token":               {json, `{"query":"{me{id}}"}`, 200},
		"a bad token":            {with("Authorization", "Bearer nonsense"), `{"query":"{__typename}"}`, 401},
		"no JSON":                {json, `{`, 400},
		"a large body":           {json, strings.Repeat(" ", 2<<20), 413},
		"no accepted type":       {with("Accept", "text/html"), `{"query":"{__typename}"}`, 406},
		"a stream":               {with("Accept", "text/event-stream"), `{"query":"{__typename}"}`, 200},
		"another site's form":    {with("Sec-Fetch-Site", "cross-site"), `{"query":"{__typename}"}`, 200},
		"a refused content type": {http.Header{"Content-Type": {"text/plain"}}, `{"query":"{__typename}"}`, 415},
	} {
		if resp := h.send("POST", n.base+"/graphql", c.header, c.body); resp.StatusCode != c.want {
			h.t.Errorf("%s: %d, want %d", what, resp.StatusCode, c.want)
		}
	}
	h.send("POST", n.base+"/console/login", http.Header{"Sec-Fetch-Site": {"cross-site"}}, "")
	for origin, want := range map[string]int{"": 101, "https://evil.example": 403} {
		for version, status := range map[string]int{"13": want, "12": max(want, 426), "": max(want, 400)} {
			if want == 403 {
				status = 403
			}
			h.handshake(n, origin, version, status)
		}
	}
}

// handshake requests a WebSocket, whose response is not written by net/http.
func (h *headed) handshake(n *server, origin, version string, want int) {
	h.t.Helper()
	address := strings.TrimPrefix(n.base, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	request := "GET /graphql HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
	for name, value := range map[string]string{"Sec-WebSocket-Version": version, "Origin": origin} {
		if value != "" {
			request += name + ": " + value + "\r\n"
		}
	}
	if h.https {
		request += "X-Forwarded-Proto: https\r\n"
	}
	if _, err := fmt.Fprint(conn, request+"\r\n"); err != nil {
		h.t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	what := fmt.Sprintf("a WebSocket of version %q from %q", version, origin)
	if resp.StatusCode != want {
		h.t.Errorf("%s: %d, want %d", what, resp.StatusCode, want)
	}
	h.check(what, resp)
}

// TestHeaders_UntrustedProxy checks that only a trusted proxy determines HSTS and the names of
// cookies.
func TestHeaders_UntrustedProxy(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--admin-password", "correct horse battery")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"name": {firstOperator}, "password": {"correct horse battery"}}.Encode()
	req, err := http.NewRequest("POST", n.base+"/console/login", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-Proto", "https")
	resp, err := (&http.Client{Jar: jar}).Do(req) // follows the redirect with the cookies
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Strict-Transport-Security"); got != "" || resp.StatusCode != 200 || resp.Request.URL.Path != "/console/" {
		t.Errorf("%s: %d, HSTS %q", resp.Request.URL.Path, resp.StatusCode, got)
	}
}
