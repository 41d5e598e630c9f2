package cli

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"rollcall/internal/testenv"
)

// server is a server that runs in this process.
type server struct {
	t        *testing.T
	out, err testenv.Log
	stop     context.CancelFunc
	status   chan int
	base     string
	client   http.Client // of post
}

var served = regexp.MustCompile(`"url":"(https?://[^"]+)"`)

// start runs `serve` on free ports, with the apps of a demo, and waits until it listens.
func start(t *testing.T, url string, args ...string) *server {
	t.Helper()
	return startWith(t, Streams{}, url, args...)
}

// startWith is start with these streams. In and Err, and Out if it is nil, are the server's own.
func startWith(t *testing.T, streams Streams, url string, args ...string) *server {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	n := &server{t: t, stop: stop, status: make(chan int, 1)}
	args = append([]string{"serve", "--database-url", url, "--listen", "127.0.0.1:0", "--ops-listen=", "--demo=on"}, args...)
	streams.In, streams.Err = strings.NewReader(""), &n.err
	if streams.Out == nil {
		streams.Out = &n.out
	}
	go func() { n.status <- Run(ctx, args, streams) }()
	t.Cleanup(func() { n.end() })
	for deadline := time.Now().Add(30 * time.Second); n.base == ""; {
		if found := served.FindStringSubmatch(n.err.String()); found != nil {
			n.base = found[1]
		}
		select {
		case status := <-n.status:
			t.Fatalf("ended with status %d: %s", status, n.err.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not listen: %s", n.err.String())
		}
	}
	return n
}

var logTime = regexp.MustCompile(`"time":"[^"]+",`)

// warnings returns the warnings in the log, without their times.
func (n *server) warnings() []string {
	var out []string
	for line := range strings.Lines(n.err.String()) {
		if strings.Contains(line, `"level":"WARN"`) {
			out = append(out, logTime.ReplaceAllString(strings.TrimSpace(line), ""))
		}
	}
	return out
}

// end stops the server and returns its exit status. A second call does nothing.
func (n *server) end() int {
	n.stop()
	select {
	case status, ok := <-n.status:
		if ok {
			close(n.status)
		}
		return status
	case <-time.After(30 * time.Second):
		n.t.Errorf("the server does not stop: %s", n.err.String())
		return -1
	}
}

// banner waits until the server has printed what the first start created, and returns it.
func (n *server) banner() string {
	n.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if text := n.out.String(); strings.HasSuffix(text, "\n\n") {
			return text
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("no banner: %q", n.out.String())
		}
		time.Sleep(time.Millisecond)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

// do sends the request and returns the response's status and body.
func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	return doBy(t, http.DefaultClient, req)
}

func doBy(t *testing.T, client *http.Client, req *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestFirstStart(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		n := start(t, url)
		banner := n.banner()
		for _, want := range []string{n.base + "/console/", "admin", "demo (DEVELOPMENT, FLAGSHIP)", "demo-production (PRODUCTION, FLAGSHIP)"} {
			if !strings.Contains(banner, want) {
				t.Errorf("the banner lacks %q:\n%s", want, banner)
			}
		}
		// The printed command registers a user.
		curl := regexp.MustCompile(`curl -s (\S+) \\\n +-H '([^:]+): (.+)' \\\n +-H '([^:]+): (.+)' \\\n +-d '(.+)'`).FindStringSubmatch(banner)
		if curl == nil {
			t.Fatalf("no curl in the banner:\n%s", banner)
		}
		req, err := http.NewRequest(http.MethodPost, curl[1], strings.NewReader(curl[6]))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(curl[2], curl[3])
		req.Header.Set(curl[4], curl[5])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), `"created":true`) {
			t.Errorf("%s, %v", body, err)
		}
		// Neither passwords nor secrets nor tokens are logged.
		for _, secret := range regexp.MustCompile(`(?m)^(?:Password|App secret) +(\S+)$|Bearer (\S+)'`).FindAllStringSubmatch(banner, -1) {
			if value := secret[1] + secret[2]; strings.Contains(n.err.String(), value) {
				t.Errorf("the log has %q", value)
			}
		}
		if status := n.end(); status != 0 {
			t.Errorf("status %d: %s", status, n.err.String())
		}
		// The second start creates and prints nothing.
		again := start(t, url)
		if banner := again.banner(); strings.Contains(banner, "Password") || strings.Contains(banner, "secret") {
			t.Errorf("the second start prints:\n%s", banner)
		}
	})
}

// A database that is named may be one of production, whose log is stored.
func TestFirstStart_CreatesAppsForADemoOnly(t *testing.T) {
	for name, test := range map[string]struct {
		database string // "" for the default
		demo     string
		want     bool
	}{
		"the default database":      {demo: "auto", want: true},
		"the default database, off": {demo: "off"},
		"a database by name":        {database: testenv.SQLiteURL(t), demo: "auto"},
		"a database by name, on":    {database: testenv.SQLiteURL(t), demo: "on", want: true},
	} {
		t.Chdir(t.TempDir())
		n := start(t, cmp.Or(test.database, defaultDatabaseURL), "--demo="+test.demo)
		banner := n.banner()
		if got := strings.Contains(banner, "App secret"); got != test.want {
			t.Errorf("%s: apps are created: %t\n%s", name, got, banner)
		}
		if !strings.Contains(banner, "Password ") {
			t.Errorf("%s: the operator's password is not printed:\n%s", name, banner)
		}
		if status := n.end(); status != 0 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func TestNodesThatStartTogether(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		shared := testenv.RedisURL(t)
		first := make(chan *server, 3)
		for range cap(first) {
			go func() { first <- start(t, url, "--redis-url", shared) }()
		}
		var all string
		for range cap(first) {
			all += (<-first).banner()
		}
		for _, once := range []string{"Password ", "App         demo (", "App         demo-production ("} {
			if strings.Count(all, once) != 1 {
				t.Errorf("%q is printed %d times:\n%s", once, strings.Count(all, once), all)
			}
		}
	})
}

func TestFirstStart_PrintsTheConsolesURL(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--admin-password", "correct horse battery", "--demo=off", "--console-url", "https://console.example")
	if banner := n.banner(); strings.Contains(banner, "shown only now") || !strings.Contains(banner, "Console     https://console.example/console/\n") {
		t.Errorf("the banner is\n%s", banner)
	}
}

func TestPaths(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--admin-password", "correct horse battery")
	if banner := n.banner(); strings.Contains(banner, "correct horse battery") || !strings.Contains(banner, "Password    as given in ROLLCALL_ADMIN_PASSWORD\n") {
		t.Errorf("the banner lacks the given password:\n%s", n.banner())
	}
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/healthz":                {200, "ok"},
		"/readyz":                 {200, "ok"},
		"/graphql/schema.graphql": {200, "type Query"},
		"/":                       {200, "<form"}, // redirects to the console, which redirects to the login
		"/nothing":                {404, ""},
	} {
		if status, body := get(t, n.base+path); status != want.status || !strings.Contains(body, want.says) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
}

func TestIntrospectionOff(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t), "--introspection", "off")
	if status, _ := get(t, n.base+"/graphql/schema.graphql"); status != 404 {
		t.Errorf("the schema's text: %d", status)
	}
	for query, want := range map[string]string{
		`{__schema{types{name}}}`: `"code":"FORBIDDEN"`,
		`{__typename}`:            `{"__typename":"Query"}`,
		`{usr}`:                   `Cannot query field`,
	} {
		resp, err := http.Post(n.base+"/graphql", "application/json", strings.NewReader(`{"query":"`+query+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) || strings.Contains(string(body), "Did you mean") {
			t.Errorf("%s: %s, %v", query, body, err)
		}
	}
}

// TestReadyz_FollowsTheDatabase makes the database unwritable in several ways, and writable again.
func TestReadyz_FollowsTheDatabase(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	name, err := server.PlainDatabase()
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, strings.Replace(server.URL(), "root@", name+"@", 1)+name)
	administer := func(statement string) {
		t.Helper()
		if err := server.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	n.becomesReady(t, 200, "ok")

	administer("SET GLOBAL read_only = 1")
	n.becomesReady(t, 503, "the database cannot be written: it is read-only\n")
	administer("SET GLOBAL read_only = 0")
	n.becomesReady(t, 200, "ok")

	unlock, err := server.Lock()
	if err != nil {
		t.Fatal(err)
	}
	n.becomesReady(t, 503, "the database cannot be written: it is locked\n")
	unlock()
	n.becomesReady(t, 200, "ok")

	server.Stop()
	n.becomesReady(t, 503, "the database does not respond\n")
	if status, _ := get(t, n.base+"/healthz"); status != 200 {
		t.Errorf("alive: %d", status)
	}
}

func TestReadyz_FollowsSQLite(t *testing.T) {
	url := testenv.SQLiteURL(t)
	n := start(t, url)
	n.becomesReady(t, 200, "ok")
	// The server may be writing, so the other process must wait for its lock.
	other, err := sqlite3.Open("file:" + strings.TrimPrefix(url, "sqlite:") + "?_pragma=busy_timeout(30000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	n.becomesReady(t, 503, "the database cannot be written: it is locked\n")
	if err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	n.becomesReady(t, 200, "ok")
}

// becomesReady waits until readiness has the wanted status and a body that begins with says.
func (n *server) becomesReady(t *testing.T, want int, says string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, body := get(t, n.base+"/readyz")
		if status == want && strings.HasPrefix(body, says) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ready: %d %q, want %d %q", status, body, want, says)
		}
	}
}

// TestReadyz_DegradedWithoutRedis checks that a node stays ready if Redis cannot be used, and reports
// why in the body, the log and a metric.
func TestReadyz_DegradedWithoutRedis(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	admin := testenv.OpenRedis(t, server.URL(), "admin")
	command := func(words ...string) {
		t.Helper()
		if err := admin.Do(t.Context(), admin.B().Arbitrary(words...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	n := start(t, testenv.MySQLURL(t), "--redis-url", server.URL(), "--ops-listen", "127.0.0.1:0")
	n.becomesReady(t, 200, "ok")
	check := func(problem string) {
		t.Helper()
		n.becomesReady(t, 200, "degraded: "+problem+"\n")
		if status, body := get(t, n.base+"/readyz?with=redis"); status != 503 || body != problem+"\n" {
			t.Errorf("with Redis: %d %q", status, body)
		}
		if _, metrics := get(t, n.opsBase()+"/metrics"); !strings.Contains(metrics, "\nrollcall_redis_usable 0\n") {
			t.Errorf("%s: the metric does not change", problem)
		}
		if !slices.ContainsFunc(n.warnings(), func(line string) bool { return strings.Contains(line, "degraded: "+problem+";") }) {
			t.Errorf("%s: the log does not contain it: %s", problem, n.warnings())
		}
	}
	recovered := func() {
		t.Helper()
		n.becomesReady(t, 200, "ok\n")
		if status, body := get(t, n.base+"/readyz?with=redis"); status != 200 || body != "ok\n" {
			t.Errorf("with Redis: %d %q", status, body)
		}
		if _, metrics := get(t, n.opsBase()+"/metrics"); !strings.Contains(metrics, "\nrollcall_redis_usable 1\n") {
			t.Error("the metric does not show the recovery")
		} else if want := "\nrollcall_redis_primary{address=\"" + server.Address() + "\"} 1\n"; !strings.Contains(metrics, want) ||
			!strings.Contains(metrics, "\nrollcall_redis_primary_switches_total 0\n") {
			t.Error("the metrics do not show the server in use")
		}
	}

	command("REPLICAOF", "127.0.0.1", "1")
	check("Redis is read-only")
	command("REPLICAOF", "NO", "ONE")
	recovered()

	command("CONFIG", "SET", "maxmemory", "1")
	check("Redis is out of memory")
	command("CONFIG", "SET", "maxmemory", "0")
	recovered()

	server.Stop()
	check("Redis does not respond")
}
