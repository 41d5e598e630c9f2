package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"rollcall/internal/testenv"
)

// TestTLSSettings checks that commands use the files for the database, and that a server also uses
// those for Redis.
func TestTLSSettings(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	ca := testenv.NewAuthority(t, later)
	server, port := testenv.TLSMariaDB(t, ca, ca.Issue(t, later, "localhost"))
	name, err := server.PlainDatabase()
	if err == nil {
		err = server.Exec("ALTER USER " + name + " REQUIRE X509")
	}
	if err != nil {
		t.Fatal(err)
	}
	pair := ca.Issue(t, later)
	t.Setenv("ROLLCALL_DATABASE_URL", fmt.Sprintf("mysql://%s@localhost:%d/%s?tls=true", name, port, name))
	t.Setenv("ROLLCALL_DATABASE_TLS_CA", ca.File)
	if status, _, stderr := run(t, "", "migrate", "up"); status != exitFailure || !strings.Contains(stderr, "Access denied") {
		t.Errorf("without a certificate: %d, %s", status, stderr)
	}
	t.Setenv("ROLLCALL_DATABASE_TLS_CERT", pair.Cert)
	if status, _, stderr := run(t, "", "migrate", "up"); status != exitUsage || !strings.HasPrefix(stderr, "rollcall: ROLLCALL_DATABASE_TLS_CERT is set without ROLLCALL_DATABASE_TLS_KEY") {
		t.Errorf("half a pair: %d, %s", status, stderr)
	}
	t.Setenv("ROLLCALL_DATABASE_TLS_KEY", pair.Key)
	if status, _, stderr := run(t, "", "migrate", "up"); status != exitOK {
		t.Errorf("with a certificate: %d, %s", status, stderr)
	}
	for what, test := range map[string]struct {
		args []string
		want string
	}{
		"no Redis":          {[]string{"--redis-tls-ca", ca.File}, "ROLLCALL_REDIS_TLS_CA is set, but"},
		"Redis without TLS": {[]string{"--redis-url", "redis://localhost", "--redis-tls-ca", ca.File}, "ROLLCALL_REDIS_TLS_CA is set, but"},
		"no file":           {[]string{"--redis-url", "rediss://localhost", "--redis-tls-ca", "/no/such/file"}, "ROLLCALL_REDIS_TLS_CA cannot be read: open /no/such/file"},
		"not verified":      {[]string{"--redis-url", "rediss://localhost?skip_verify=1"}, "ROLLCALL_REDIS_URL has skip_verify"},
	} {
		status, _, stderr := run(t, "", append([]string{"serve"}, test.args...)...)
		if status != exitUsage || !strings.HasPrefix(stderr, "rollcall: "+test.want) {
			t.Errorf("%s: %d, %s", what, status, stderr)
		}
	}
}

// TestServe_TLS serves clients by HTTP/2 and WebSockets over TLS, and replaces the certificate while
// both are connected.
func TestServe_TLS(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	ca := testenv.NewAuthority(t, later)
	first, second := ca.Issue(t, later, "127.0.0.1"), ca.Issue(t, later, "127.0.0.1")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testenv.CopyFile(t, cert, first.Cert)
	testenv.CopyFile(t, key, first.Key)
	n := start(t, testenv.SQLiteURL(t), "--tls-cert", cert, "--tls-key", key, "--console-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(ca.File)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: roots}
	n.client.Transport = &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
	defer n.client.CloseIdleConnections()

	// The addresses.
	address := strings.TrimPrefix(n.base, "https://")
	console := servedConsole.FindStringSubmatch(n.err.String())[1] + "/console/"
	if address == n.base || !strings.HasPrefix(console, "https://") {
		t.Fatalf("the log has other addresses: %s", n.err.String())
	}
	if banner := n.banner(); !strings.Contains(banner, "Console     "+console+"\n") || !strings.Contains(banner, "curl -s "+n.base+"/graphql ") {
		t.Errorf("the banner has other addresses:\n%s", banner)
	}
	for url, want := range map[string]string{n.base + "/readyz": "HTTP/2.0 200 OK", console + "login": "HTTP/2.0 200 OK"} {
		resp, err := n.client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Proto + " " + resp.Status; got != want || resp.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %s, %v", url, got, resp.Header)
		}
		for _, cookie := range resp.Cookies() {
			if !cookie.Secure || !strings.HasPrefix(cookie.Name, "__Host-") {
				t.Errorf("%s: the cookie %s", url, cookie)
			}
		}
	}
	if status, _ := get(t, "http://"+address+"/readyz"); status != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", status)
	}
	if conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is served")
	}
	_, metrics := get(t, n.opsBase()+"/metrics")
	expires := regexp.MustCompile(`\nrollcall_tls_certificate_expires_timestamp_seconds (\S+)\n`).FindStringSubmatch(metrics)
	if expires == nil {
		t.Fatal("the metrics lack when the certificate expires")
	}
	if got, err := strconv.ParseFloat(expires[1], 64); err != nil || int64(got) != later.Unix() {
		t.Errorf("the certificate expires at %s, %v; want %d", expires[1], err, later.Unix())
	}

	// A WebSocket that is connected before the certificate is replaced.
	app := n.bearer()
	ann := regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(n.ask(app, `mutation { registerUser(input: {id: "ann", name: "Ann"}) { token } }`))[1]
	dialer := ws.Dialer{TLSConfig: config, Protocols: []string{"graphql-transport-ws"}, Timeout: 10 * time.Second}
	socket, _, _, err := dialer.Dial(t.Context(), "wss://"+address+"/graphql")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	send := func(text string) {
		if err := wsutil.WriteClientText(socket, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(want string) {
		t.Helper()
		if text, err := wsutil.ReadServerText(socket); err != nil || !strings.Contains(string(text), want) {
			t.Fatalf("%s, %v; want %s", text, err, want)
		}
	}
	send(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + ann + `"}}`)
	receive(`"connection_ack"`)
	send(`{"type":"subscribe","id":"1","payload":{"query":"subscription { userStatus(ids: [\"ann\"]) { customStatus } }"}}`)
	receive(`"customStatus":""`)

	served := func() string {
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := served()
	testenv.CopyFile(t, cert, second.Cert)
	testenv.CopyFile(t, key, second.Key)
	for deadline := time.Now().Add(30 * time.Second); served() == before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("new connections still get the former certificate")
		}
	}
	n.ask(app, `mutation { setStatus(input: {userId: "ann", customStatus: "away"}) { __typename } }`)
	receive(`"customStatus":"away"`)

	// It ends with the server, as the clients over HTTP/2 do.
	status := make(chan int)
	go func() { status <- n.end() }()
	frame, err := ws.ReadFrame(socket)
	if code, _ := ws.ParseCloseFrameData(frame.Payload); err != nil || frame.Header.OpCode != ws.OpClose || code != 1012 {
		t.Errorf("the WebSocket ended with %+v, %v", frame, err)
	}
	socket.Close()
	if got := <-status; got != exitOK {
		t.Errorf("the server ended with %d: %s", got, n.err.String())
	}
}

func TestServe_RefusesHalfOfATLSPair(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	pair := testenv.NewAuthority(t, later).Issue(t, later)
	for want, args := range map[string][]string{
		"ROLLCALL_TLS_CERT is set without ROLLCALL_TLS_KEY":                      {"--tls-cert", pair.Cert},
		"ROLLCALL_TLS_KEY is set without ROLLCALL_TLS_CERT":                      {"--tls-key", pair.Key},
		"ROLLCALL_TLS_CERT cannot be read: open /no/such/file":                   {"--tls-cert", "/no/such/file", "--tls-key", pair.Key},
		"ROLLCALL_TLS_KEY file " + pair.Cert + " has no private key in PEM form": {"--tls-cert", pair.Cert, "--tls-key", pair.Cert},
	} {
		status, _, stderr := run(t, "", append([]string{"serve", "--database-url", testenv.SQLiteURL(t)}, args...)...)
		if status != exitUsage || !strings.HasPrefix(stderr, "rollcall: "+want) {
			t.Errorf("%d, %s; want %s", status, stderr, want)
		}
	}
}
