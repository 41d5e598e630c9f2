package cli

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

// waitForOthers sets, until the test ends, how long a start waits for another server.
func waitForOthers(t *testing.T, d time.Duration) {
	old := otherServerWait
	otherServerWait = d
	t.Cleanup(func() { otherServerWait = old })
}

func TestServe_RefusesSecondServerWithoutRedis(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		waitForOthers(t, 600*time.Millisecond)
		first := start(t, url)
		status, _, errs := run(t, "", "serve", "--database-url", url, "--listen", "127.0.0.1:0", "--ops-listen=")
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		if last := lines[len(lines)-1]; status != 1 || len(lines) != 2 || !strings.Contains(lines[0], "waiting") ||
			!strings.HasPrefix(last, "rollcall: another server runs on ") || !strings.Contains(last, "ROLLCALL_REDIS_URL") {
			t.Errorf("status %d: %s", status, errs)
		}
		// Commands may run beside a server.
		if status, _, errs := run(t, "", "app", "list", "--database-url", url); status != 0 {
			t.Errorf("status %d: %s", status, errs)
		}
		if code, _ := get(t, first.base+"/readyz"); code != 200 {
			t.Errorf("the first server is not ready: %d", code)
		}
	})
}

// TestServe_RefusesServerThatCannotSeeTheOthersDevices: the devices of all nodes are in one Redis. A node
// without it, or with another one, would set the users of the others to OFFLINE.
func TestServe_RefusesServerThatCannotSeeTheOthersDevices(t *testing.T) {
	testenv.NeedServer(t)
	redis, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	with := func(number string) []string { return []string{"--redis-url", redis.URL() + "/" + number} }
	testenv.EachURL(t, func(t *testing.T, url string) {
		refuses := func(want string, args ...string) {
			t.Helper()
			status, _, errs := run(t, "", append([]string{"serve", "--database-url", url, "--listen", "127.0.0.1:0", "--ops-listen="}, args...)...)
			if status != exitFailure || !strings.Contains(errs, "rollcall: another server runs on ") || !strings.Contains(errs, want) {
				t.Errorf("%s: status %d, %s", args, status, errs)
			}
		}
		waitForOthers(t, 600*time.Millisecond)
		first := start(t, url, with("0")...)
		app := first.bearer()
		device := regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(first.ask(app, `mutation { registerUser(input: {id: "ann", name: "Ann"}) { token } }`))[1]
		stop := first.connect(device)
		defer stop()
		refuses("; several on one database need ROLLCALL_REDIS_URL")
		refuses(", with another Redis; several", with("1")...)
		if got := first.ask(app, `{ user(id: "ann") { status { presence } } }`); !strings.Contains(got, "ONLINE") {
			t.Errorf("the device's user: %s", got)
		}
		second := start(t, url, with("0")...)
		stop()
		for _, n := range []*server{first, second} {
			if status := n.end(); status != exitOK {
				t.Errorf("status %d: %s", status, n.err.String())
			}
		}
		alone := start(t, url)
		refuses("one without ROLLCALL_REDIS_URL; several", with("0")...)
		alone.end()
		start(t, url, with("1")...)
	})
}

// TestServe_WaitsForOldServer restarts as a rolling update does: the new server starts before the
// old one ends.
func TestServe_WaitsForOldServer(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		old := start(t, url)
		next := make(chan *server)
		go func() { next <- start(t, url) }()
		select {
		case <-next:
			t.Error("both servers serve")
		case <-time.After(time.Second):
		}
		if status := old.end(); status != 0 {
			t.Errorf("status %d: %s", status, old.err.String())
		}
		n := <-next
		if !strings.Contains(n.err.String(), "waiting") {
			t.Errorf("the log does not mention the wait: %s", n.err.String())
		}
	})
}

// TestServe_WarnsOfSecondServerAfterLostLock takes the lock from a server, as a restart of the
// database does. The server must warn of the other one and keep serving.
func TestServe_WarnsOfSecondServerAfterLostLock(t *testing.T) {
	waitForOthers(t, 100*time.Millisecond)
	url := testenv.MySQLURL(t)
	n := start(t, url)
	db := testenv.Open(t, url)
	intruder, err := db.NodeLock()
	if err != nil {
		t.Fatal(err)
	}
	defer intruder.Close()
	var session int64
	err = db.Read(t.Context()).Raw("SELECT IS_USED_LOCK(CONCAT('rollcall.node.', MD5(DATABASE())))").Scan(&session).Error
	if err == nil {
		err = db.Read(t.Context()).Exec("KILL ?", session).Error
	}
	if err != nil {
		t.Fatal(err)
	}
	for held := false; !held; {
		if held, err = intruder.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	says := func(words string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(n.err.String(), words); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the log does not contain %q: %s", words, n.err.String())
			}
		}
	}
	says(`"level":"WARN","msg":"another server runs on this database`)
	if strings.Count(n.err.String(), "WARN") != 1 {
		t.Errorf("warned more than once: %s", n.err.String())
	}
	intruder.Close()
	says("no other server runs on this database any more")
	if code, _ := get(t, n.base+"/readyz"); code != 200 {
		t.Errorf("not ready: %d", code)
	}
}

// connect opens an event stream of a user's device, and returns once the user is online.
func (n *server) connect(token string) (stop func()) {
	n.t.Helper()
	req, err := http.NewRequest(http.MethodPost, n.base+"/graphql", strings.NewReader(`{"query":"subscription { relationshipChanged { kind } }"}`))
	if err != nil {
		n.t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer " + token} {
		req.Header.Set(name, value)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		n.t.Fatalf("the stream has status %d", resp.StatusCode)
	}
	return func() { resp.Body.Close() }
}
