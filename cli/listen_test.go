package cli

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

var servedConsole = regexp.MustCompile(`"console":"(https?://[^"]+)/console/"`)

// TestConsoleListen checks that the console is served on its own address and on no other.
func TestConsoleListen(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--console-listen", "127.0.0.1:0")
	console := servedConsole.FindStringSubmatch(n.err.String())[1]
	if console == n.base {
		t.Fatal("the console has no address of its own")
	}
	if !strings.Contains(n.banner(), "Console     "+console+"/console/\n") || !strings.Contains(n.banner(), "curl -s "+n.base+"/graphql ") {
		t.Errorf("the banner has other addresses:\n%s", n.banner())
	}
	for _, path := range []string{"/", "/console", "/console/", "/console/login", "/console/explorer", "/console/static/nothing.css"} {
		if status, _ := get(t, n.base+path); status != 404 {
			t.Errorf("%s on the main address: %d", path, status)
		}
	}
	for path, want := range map[string]string{
		"/":              "<form", // redirects to the login
		"/console":       "<form",
		"/console/login": "<form",
		"/healthz":       "ok",
		"/readyz":        "ok",
		// The explorer sends its requests to its own address.
		"/graphql/schema.graphql":         "type Query",
		"/graphql?query={__typename}":     `"Query"`,
		"/graphql?query=%7B__typename%7D": `"Query"`,
	} {
		if status, body := get(t, console+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s on the console's address: %d %.100s", path, status, body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/graphql?query={__typename}"} {
		if status, _ := get(t, n.base+path); status != 200 {
			t.Errorf("%s on the main address: %d", path, status)
		}
	}
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} {
		for _, base := range []string{n.base, console} {
			req, err := http.NewRequest(http.MethodGet, base+"/healthz", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(header, "https")
			if resp, err := http.DefaultClient.Do(req); err != nil || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", base, err)
			} else {
				resp.Body.Close()
			}
		}
	}
	if got := n.warnings(); len(got) != 1 {
		t.Errorf("an undeclared proxy in front of both is warned of %d times: %q", len(got), got)
	}
}

// TestConsoleListen_Drains checks that a request that is running on the console's address when the
// server stops is completed.
func TestConsoleListen_Drains(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--console-listen", "127.0.0.1:0")
	console := servedConsole.FindStringSubmatch(n.err.String())[1]
	body, send := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, console+"/console/login", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Expect", "100-continue") // the body is sent once the handler reads it
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second}}
	status := make(chan int, 1)
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	if _, err := io.WriteString(send, "name=nobody"); err != nil {
		t.Fatal(err)
	}
	n.stop()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(console, "http://"))
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the console's address still accepts connections")
		}
	}
	if _, err := io.WriteString(send, "&"+url.Values{"password": {"a wrong password"}}.Encode()); err != nil {
		t.Fatal(err)
	}
	send.Close()
	if got := <-status; got != http.StatusUnauthorized {
		t.Errorf("the login: %d, want 401", got)
	}
	if status := n.end(); status != 0 {
		t.Errorf("status %d: %s", status, n.err.String())
	}
}

func TestListen_TakenPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for flag, setting := range map[string]string{
		"--listen": "ROLLCALL_LISTEN", "--console-listen": "ROLLCALL_CONSOLE_LISTEN", "--ops-listen": "ROLLCALL_OPS_LISTEN",
	} {
		status, out, errs := run(t, "", "serve", "--database-url", testenv.SQLiteURL(t), "--listen", "127.0.0.1:0", "--ops-listen=", flag, address)
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		last := lines[len(lines)-1]
		if status != 1 || out != "" || !strings.HasPrefix(last, "rollcall: "+setting+": cannot listen on "+address) || !strings.Contains(last, "in use") {
			t.Errorf("%s: status %d, %q, %s", flag, status, out, errs)
		}
	}
	if status, _, errs := run(t, "", "serve", "--console-listen", "here"); status != 2 || !strings.Contains(errs, "ROLLCALL_CONSOLE_LISTEN") {
		t.Errorf("no address: status %d, %s", status, errs)
	}
}
