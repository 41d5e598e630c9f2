package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/atrest"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// TestDatabaseKey checks that a server with a key encrypts the secrets that an earlier start
// stored, so that they are no longer in the files, and that a start without the key is then
// refused.
func TestDatabaseKey(t *testing.T) {
	scrubInterval = 20 * time.Millisecond
	t.Cleanup(func() { scrubInterval = 0 })
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	path := strings.TrimPrefix(url, "sqlite:")
	n := start(t, url)
	app := n.bearer()
	var stored []models.TokenKey
	if err := testenv.Open(t, url).Read(t.Context()).Find(&stored).Error; err != nil || len(stored) != 2 {
		t.Fatal(stored, err)
	}
	n.end()
	inFiles := func() bool {
		for _, name := range []string{path, path + "-wal"} {
			data, err := os.ReadFile(name)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, key := range stored {
				if bytes.Contains(data, key.Secret) {
					return true
				}
			}
		}
		return false
	}
	if !inFiles() {
		t.Fatal("the secrets are not in the files before they are encrypted")
	}

	key := strings.Repeat("k", 40)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROLLCALL_DATABASE_KEY_FILE", file)
	n = start(t, url)
	for deadline := time.Now().Add(30 * time.Second); inFiles(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the secrets are still in the files")
		}
	}
	n.until(app, true)
	if status, _, errs := run(t, "", "token-key", "rotate"); status != 0 {
		t.Errorf("rotating: status %d, %s", status, errs)
	}
	n.end()
	n = start(t, url)
	n.until(app, true)
	n.end()

	for name, test := range map[string]struct {
		key    string
		status int
		says   string
	}{
		"no key":      {"", 1, "are encrypted: set ROLLCALL_DATABASE_KEY to the key"},
		"another key": {strings.Repeat("x", 40), 1, "none of the keys in ROLLCALL_DATABASE_KEY"},
		"short key":   {"hunter2", 2, "ROLLCALL_DATABASE_KEY: each key must have at least 32 characters"},
	} {
		t.Setenv("ROLLCALL_DATABASE_KEY_FILE", "")
		t.Setenv("ROLLCALL_DATABASE_KEY", test.key)
		for _, command := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--ops-listen="}, {"token-key", "rotate"}} {
			status, _, errs := run(t, "", command...)
			if status != test.status || !strings.Contains(errs, test.says) || strings.Contains(errs, "hunter2") {
				t.Errorf("%s, %s: status %d, %s", name, command[0], status, errs)
			}
		}
	}
}

// TestDatabaseKey_MissingOnARunningServer checks that a server without the key follows the changes
// of the token keys that another server makes with it, and that its operator sees the problem.
func TestDatabaseKey_MissingOnARunningServer(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		n := start(t, url)
		app := n.bearer()
		n.until(app, true)
		databaseKey := strings.Repeat("k", 40)
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		t.Setenv("ROLLCALL_DATABASE_KEY", databaseKey)
		old := tokenKeys(t)[0].ID
		if status, _, errs := run(t, "", "token-key", "rotate"); status != 0 {
			t.Fatalf("rotating: status %d, %s", status, errs)
		}
		const problem = "token keys cannot be decrypted, check ROLLCALL_DATABASE_KEY\n"
		n.becomesReady(t, 200, "degraded: "+problem)
		n.until(app, true)
		if status, _, errs := run(t, "", "token-key", "retire", old); status != 0 {
			t.Fatalf("retiring: status %d, %s", status, errs)
		}
		n.until(app, false)
		n.becomesReady(t, 503, "no token can be signed: "+problem)

		db := testenv.Open(t, url)
		parsed, err := atrest.Parse(databaseKey)
		if err != nil {
			t.Fatal(err)
		}
		db.SetSecretKeys(parsed)
		keys, err := token.OpenKeys(t.Context(), db, "", clock)
		if err != nil {
			t.Fatal(err)
		}
		rules := apps.New(db, new(bus.Bus), keys, clock)
		list, err := rules.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, _, err := rules.GrantToken(t.Context(), list[0], time.Hour, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := n.post(elsewhere, `{"query":"{ app { name } }"}`); status != 503 || !strings.Contains(body, `"UNAVAILABLE"`) {
			t.Errorf("a token of another node: %d %s", status, body)
		}
		_, secret, err := rules.RotateSecret(t.Context(), list[0].Key, 0, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		status, body := n.post("", fmt.Sprintf(
			`{"query":"mutation { issueAppToken(input: {appKey: \"%s\", appSecret: \"%s\"}) { token } }"}`, list[0].Key, secret))
		if status != 503 || !strings.Contains(body, `"UNAVAILABLE"`) {
			t.Errorf("issuing a token: %d %s", status, body)
		}
		if got := n.warnings(); len(got) != 1 || !strings.Contains(got[0], "set ROLLCALL_DATABASE_KEY") {
			t.Errorf("warnings: %q", got)
		}
	})
}
