package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

// api is a client of one node with an app token.
type api struct {
	t     *testing.T
	base  string
	token string
}

// run runs an operation and decodes its data into out. It returns the code of its first error, or
// nothing.
func (a api) run(out any, query string, args ...any) (code string) {
	a.t.Helper()
	body, err := json.Marshal(map[string]string{"query": fmt.Sprintf(query, args...)})
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, a.base+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	answer := struct {
		Data   any
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}{Data: out}
	if err := json.Unmarshal(text, &answer); err != nil {
		a.t.Fatalf("%s: %v", text, err)
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].Extensions.Code
	}
	return ""
}

// TestGalera runs a service of three nodes, each on another member of a Galera cluster.
func TestGalera(t *testing.T) {
	members := testenv.Galera(t, 3)
	name, err := members[0].PlainDatabase()
	if err != nil {
		t.Fatal(err)
	}
	redis := testenv.RedisURL(t)
	nodes := make([]*server, len(members))
	var wg sync.WaitGroup
	for i, member := range members {
		wg.Go(func() {
			nodes[i] = start(t, strings.Replace(member.URL(), "root@", name+"@", 1)+name, "--redis-url", redis)
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	var token string
	for _, n := range nodes {
		made := regexp.MustCompile(`PRODUCTION.*\nApp key +(\S+)\nApp secret +(\S+)`).FindStringSubmatch(n.banner())
		if made == nil {
			continue
		}
		var answer struct{ IssueAppToken struct{ Token string } }
		guest := api{t: t, base: n.base}
		if code := guest.run(&answer, `mutation { issueAppToken(input: {appKey: %q, appSecret: %q}) { token } }`, made[1], made[2]); code != "" {
			t.Fatal(code)
		}
		token = answer.IssueAppToken.Token
	}
	apis := make([]api, len(nodes))
	for i, n := range nodes {
		apis[i] = api{t, n.base, token}
	}

	// Each step uses another node than the previous one and must see its result.
	const rounds = 200
	t.Run("bans", func(t *testing.T) {
		stale := 0
		for i := range rounds {
			first, second, third := apis[i%3], apis[(i+1)%3], apis[(i+2)%3]
			var made struct{ RegisterUser struct{ Token string } }
			if code := first.run(&made, `mutation { registerUser(input: {id: "banned-%d", name: "B"}) { token } }`, i); code != "" {
				t.Fatal(code)
			}
			var banned struct {
				BanUsers struct{ Results []struct{ Outcome string } }
			}
			if code := second.run(&banned, `mutation { banUsers(input: {userIds: ["banned-%d"], minutes: 60}) { results { outcome } } }`, i); code != "" {
				t.Fatal(code)
			}
			if banned.BanUsers.Results[0].Outcome != "DONE" {
				stale++
				continue
			}
			third.token = made.RegisterUser.Token
			if third.run(nil, `{ me { id } }`) != "USER_BANNED" {
				stale++
			}
		}
		if stale > 0 {
			t.Errorf("%d of %d bans were not in force on another member", stale, rounds)
		}
	})
	t.Run("blocks", func(t *testing.T) {
		stale := 0
		for i := range rounds {
			first, second, third := apis[i%3], apis[(i+1)%3], apis[(i+2)%3]
			code := first.run(nil, `mutation { registerUsers(input: {users: [{id: "from-%d", name: "A"}, {id: "to-%d", name: "B"}]}) { results { userId } } }`, i, i)
			if code != "" {
				t.Fatal(code)
			}
			var answer struct{ MessagePermission struct{ Allowed bool } }
			if second.run(nil, `mutation { addToBlocklist(input: {userId: "to-%d", targetIds: ["from-%d"]}) { results { outcome } } }`, i, i) != "" ||
				third.run(&answer, `{ messagePermission(from: "from-%d", to: "to-%d") { allowed } }`, i, i) != "" ||
				answer.MessagePermission.Allowed {
				stale++
			}
		}
		if stale > 0 {
			t.Errorf("%d of %d blocks were not in force on another member", stale, rounds)
		}
	})
	t.Run("a member leaves", func(t *testing.T) {
		if err := members[2].Exec("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node of the member that left is still ready", func() bool {
			status, body := get(t, nodes[2].base+"/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, "cluster")
		})
		began := time.Now()
		if code := apis[2].run(nil, `mutation { registerUser(input: {id: "late", name: "L"}) { token } }`); code != "UNAVAILABLE" {
			t.Errorf("a write there: %s", code)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		eventually(t, "a write to the others fails", func() bool {
			return apis[0].run(nil, `mutation { registerUser(input: {id: "late", name: "L"}) { token } }`) == ""
		})
		if err := members[2].Exec("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the member is not used when it is back", func() bool {
			status, _ := get(t, nodes[2].base+"/readyz")
			return status == http.StatusOK &&
				apis[2].run(nil, `mutation { registerUser(input: {id: "later", name: "L"}) { token } }`) == ""
		})
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, failure string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(failure)
		}
	}
}
