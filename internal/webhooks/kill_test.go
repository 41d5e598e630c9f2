package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/cli"
	"rollcall/internal/testenv"
	"rollcall/internal/webhooks"
)

// soakVariable is the environment variable with the duration for which TestKill runs on each database,
// instead of a short time.
const soakVariable = "ROLLCALL_TEST_WEBHOOKS_SOAK"

// serveVariable is the environment variable that makes this test binary a server with these arguments.
const serveVariable = "ROLLCALL_TEST_SERVE"

func init() { webhooks.OtherMain = serve }

// serve is the server's main, with shorter leases so that another node continues soon.
func serve() {
	args := os.Getenv(serveVariable)
	if args == "" {
		return
	}
	webhooks.ShortenLeases(2*time.Second, time.Second)
	os.Exit(cli.Run(context.Background(), strings.Split(args, "\n"), cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: os.Stderr}))
}

// process is a server in a process of its own, which is killed and started again.
type process struct {
	t    *testing.T
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	base string // "" while it is not running
}

var listens = regexp.MustCompile(`"url":"(http://[^"]+)"`)

// start starts the server and waits until it listens.
func (p *process) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+strings.Join(p.args, "\n"), "ROLLCALL_WEBHOOK_ALLOW_PRIVATE=true", "ROLLCALL_LOG_FORMAT=json")
	log := new(testenv.Log)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	for end := time.Now().Add(30 * time.Second); ; {
		if found := listens.FindStringSubmatch(log.String()); found != nil {
			p.mu.Lock()
			p.cmd, p.base = cmd, found[1]
			p.mu.Unlock()
			return
		}
		select {
		case <-exited:
			p.t.Fatalf("the server has ended: %s", log)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			p.t.Fatalf("the server does not listen: %s", log)
		}
	}
}

// kill kills the server with SIGKILL.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
	}
	p.cmd, p.base = nil, ""
}

func (p *process) url() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.base
}

// post runs an operation and returns its data, or false if it was not acknowledged.
func post(base, token, query string) (string, bool) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return "", false
	}
	req, err := http.NewRequest(http.MethodPost, base+"/graphql", bytes.NewReader(body))
	if err != nil {
		return "", false
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err == nil && resp.StatusCode == http.StatusOK && !bytes.Contains(text, []byte(`"errors"`))
}

// command runs a command and decodes its output.
func command(t *testing.T, url string, out any, args ...string) {
	t.Helper()
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	t.Setenv("ROLLCALL_WEBHOOK_ALLOW_PRIVATE", "true")
	var stdout, stderr bytes.Buffer
	status := cli.Run(context.Background(), append(args, "--json"), cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr, InPiped: true})
	if status != 0 || json.Unmarshal(stdout.Bytes(), out) != nil {
		t.Fatalf("%s: status %d, %s%s", strings.Join(args, " "), status, stdout.String(), stderr.String())
	}
}

// appServer is a receiver. It verifies each request, and notes what has arrived.
type appServer struct {
	*httptest.Server
	t      *testing.T
	secret string

	mu   sync.Mutex
	open map[string]bool // the IDs of the events that it is working on
	// versions and names are the last version of each user, and the event that had it, as they arrived
	// for the first time.
	versions map[string]int64
	names    map[string]string
	ids      map[string]bool
	// seen are the events that have arrived, by type, user and other user.
	seen     map[string]bool
	requests int
}

func newAppServer(t *testing.T) *appServer {
	r := &appServer{t: t, open: map[string]bool{}, versions: map[string]int64{}, names: map[string]string{}, ids: map[string]bool{}, seen: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *appServer) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server was killed
	}
	verifier, err := standardwebhooks.NewWebhook(r.secret)
	if err == nil {
		err = verifier.Verify(body, req.Header)
	}
	var event struct {
		ID, Type string
		Data     struct {
			User struct {
				ID      string
				Version int64
			}
			Other struct{ ID string }
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil {
		r.t.Errorf("%s: %v", body, err)
		return
	}
	user := event.Data.User
	name := fmt.Sprint(event.Type, " ", user.ID, " ", event.Data.Other.ID)
	r.mu.Lock()
	r.requests++
	if r.open[event.ID] {
		r.t.Errorf("%s arrives while it is being handled", name)
	}
	r.open[event.ID] = true
	if !r.ids[event.ID] {
		if last := r.versions[user.ID]; user.Version <= last {
			r.t.Errorf("%s has the version %d, and %s before it %d", name, user.Version, r.names[user.ID], last)
		}
		r.versions[user.ID], r.names[user.ID] = user.Version, name
	}
	r.ids[event.ID] = true
	r.mu.Unlock()
	time.Sleep(rand.N(4 * time.Millisecond))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, event.ID)
	r.seen[name] = true
}

// missing returns those of the events that have not arrived.
func (r *appServer) missing(want []string) (missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range want {
		if !r.seen[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// TestKill kills servers at random moments while users change, and starts them again. Every event of
// an acknowledged change arrives, those of a user in the order of their versions, and none while the
// receiver works on the same one.
func TestKill(t *testing.T) {
	for _, test := range []struct {
		name  string
		nodes int
		url   func(testing.TB) string
	}{{"sqlite", 1, testenv.SQLiteURL}, {"mariadb, two nodes", 2, testenv.MySQLURL}} {
		t.Run(test.name, func(t *testing.T) {
			url := test.url(t)
			args := []string{"serve", "--database-url", url, "--listen", "127.0.0.1:0", "--ops-listen="}
			if test.nodes > 1 {
				args = append(args, "--redis-url", testenv.RedisURL(t))
			}
			testenv.Open(t, url)
			kill(t, url, args, test.nodes)
		})
	}
}

func kill(t *testing.T, url string, args []string, nodes int) {
	r := newAppServer(t)
	var app struct{ Key, Secret string }
	command(t, url, &app, "app", "create", "--name", "app", "--environment", "production", "--edition", "flagship") // with room for users
	var list []*process
	for range nodes {
		p := &process{t: t, args: args}
		p.start()
		t.Cleanup(p.kill)
		list = append(list, p)
	}
	var endpoint struct {
		ID     int64
		Secret string
	}
	command(t, url, &endpoint, "webhook", "create", app.Key, r.URL)
	r.secret = endpoint.Secret
	var issued struct {
		Data struct{ IssueAppToken struct{ Token string } }
	}
	text, _ := post(list[0].url(), "", fmt.Sprintf(`mutation { issueAppToken(input: {appKey: %q, appSecret: %q}) { token } }`, app.Key, app.Secret))
	if err := json.Unmarshal([]byte(text), &issued); err != nil || issued.Data.IssueAppToken.Token == "" {
		t.Fatal(text)
	}
	token := issued.Data.IssueAppToken.Token

	var mu sync.Mutex
	var want []string
	ending := make(chan struct{})
	var writers sync.WaitGroup
	for i := range 6 {
		writers.Go(func() {
			hub := fmt.Sprint("hub-", i%3) // of two writers
			// change repeats a change until it is acknowledged.
			change := func(query string, events ...string) bool {
				for {
					if base := list[rand.IntN(nodes)].url(); base != "" {
						if _, ok := post(base, token, query); ok {
							mu.Lock()
							want = append(want, events...)
							mu.Unlock()
							return true
						}
					}
					select {
					case <-ending:
						return false
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
			change(fmt.Sprintf(`mutation { registerUser(input: {id: %q, name: "Hub"}) { created } }`, hub), "user.registered "+hub+" ")
			for n := 0; ; n++ {
				id := fmt.Sprintf("user-%d-%d", i, n)
				if !change(fmt.Sprintf(`mutation { registerUser(input: {id: %q, name: "Name"}) { created } }`, id), "user.registered "+id+" ") ||
					!change(fmt.Sprintf(`mutation { addFriend(input: {userId: %q, friendId: %q}) { friendship { createdAt } } }`, hub, id),
						"friend.added "+hub+" "+id, "friend.added "+id+" "+hub) {
					return
				}
				select {
				case <-ending:
					return
				default:
				}
			}
		})
	}
	acknowledged := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(want)
	}
	await := func(what string, condition func() bool) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s has not come", what)
			}
		}
	}
	kills := 3
	end := time.Now()
	if soak := os.Getenv(soakVariable); soak != "" {
		d, err := time.ParseDuration(soak)
		if err != nil {
			t.Fatal(err)
		}
		end = end.Add(d)
	}
	for n := 0; n < kills || time.Now().Before(end); n++ {
		// Under load, and then at any moment.
		await(fmt.Sprint("load before kill ", n), func() bool { return acknowledged() >= 8*(n+1) })
		time.Sleep(rand.N(300 * time.Millisecond))
		p := list[n%nodes]
		p.kill()
		p.start()
	}
	close(ending)
	writers.Wait()
	var missing []string
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if missing = r.missing(want); len(missing) == 0 {
			break
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d events are missing: %.300s", len(missing), len(want), strings.Join(missing, ", "))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("%d events of acknowledged changes, %d events, %d requests", len(want), len(r.ids), r.requests)
}
