package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
	"rollcall/models"
)

// tokenKeys returns the keys that the command prints.
func tokenKeys(t *testing.T) (list []tokenKeyJSON) {
	t.Helper()
	status, out, errs := run(t, "", "token-key", "list", "--json")
	if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil {
		t.Fatalf("status %d, %s, %v", status, errs, err)
	}
	return list
}

// until waits until the token is valid, or until it is not.
func (n *server) until(token string, good bool) {
	n.t.Helper()
	var answer string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, answer = n.post(token, `{"query":"{ app { name } }"}`)
		if strings.Contains(answer, "UNAUTHENTICATED") != good {
			return
		}
	}
	n.t.Fatalf("the response is still %s", answer)
}

func TestTokenKey_ServerFollows(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		n := start(t, url)
		app := n.bearer()
		n.until(app, true)
		first := tokenKeys(t)
		if len(first) != 1 || !first[0].Signs || first[0].Configured || first[0].CreatedAt == nil || first[0].RetiresAt != nil {
			t.Fatalf("the keys are %+v", first)
		}
		if status, _, errs := run(t, "", "token-key", "retire", first[0].ID); status != 2 || !strings.Contains(errs, "rotate first") {
			t.Errorf("retiring the only key: status %d, %s", status, errs)
		}
		var made struct{ ID string }
		status, out, errs := run(t, "", "token-key", "rotate", "--overlap", "24h", "--json")
		if err := json.Unmarshal([]byte(out), &made); status != 0 || err != nil {
			t.Fatalf("status %d, %s, %v", status, errs, err)
		}
		both := tokenKeys(t)
		if len(both) != 2 || both[0].ID != first[0].ID || both[0].RetiresAt == nil || both[1].ID != made.ID || both[1].RetiresAt != nil {
			t.Errorf("the keys are %+v", both)
		}
		n.until(app, true)
		if status, out, errs := run(t, "", "token-key", "list"); status != 0 || strings.Count(out, "\n") != 3 || !strings.Contains(out, made.ID) {
			t.Errorf("status %d, %q, %s", status, out, errs)
		}
		if status, out, errs := run(t, "", "token-key", "retire", first[0].ID); status != 0 || !strings.Contains(out, first[0].ID) {
			t.Errorf("status %d, %q, %s", status, out, errs)
		}
		n.until(app, false)
		if last := tokenKeys(t); len(last) != 1 || last[0].ID != made.ID || !last[0].Signs {
			t.Errorf("the keys are %+v", last)
		}
		var audit []string
		var entries []models.AuditEntry
		db := testenv.Open(t, url)
		if err := db.Read(t.Context()).Where("action LIKE 'token_key.%'").Order("id").Find(&entries).Error; err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			audit = append(audit, e.Actor+" "+e.Action+" "+e.Target+" "+e.Detail)
		}
		want := []string{"command line token_key.rotate " + made.ID + " overlap=24h0m0s", "command line token_key.retire " + first[0].ID + " "}
		if !slices.Equal(audit, want) {
			t.Errorf("the audit has %q, not %q", audit, want)
		}
	})
}

// TestTokenKey_Configured checks that a configured key signs, is not stored, may come from a file,
// and still verifies if another key is put in front of it.
func TestTokenKey_Configured(t *testing.T) {
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	first, second := "first-"+strings.Repeat("k", 32), "second-"+strings.Repeat("l", 32)
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ROLLCALL_TOKEN_KEY_FILE", file)
	write(first + "\n")
	n := start(t, url)
	app := n.bearer()
	n.until(app, true)
	list := tokenKeys(t)
	if len(list) != 1 || !list[0].Configured || !list[0].Signs {
		t.Errorf("the keys are %+v", list)
	}
	n.end()
	write(second + ", " + first + "\r\n")
	n = start(t, url)
	n.until(app, true)
	if both := tokenKeys(t); len(both) != 2 || !both[0].Signs || both[1].Signs || both[1].ID != list[0].ID {
		t.Errorf("the keys are %+v", both)
	}
	if status, _, errs := run(t, "", "token-key", "rotate"); status != 2 || !strings.Contains(errs, "ROLLCALL_TOKEN_KEY") {
		t.Errorf("rotating: status %d, %s", status, errs)
	}
	if status, _, errs := run(t, "", "token-key", "retire", list[0].ID); status != 2 || !strings.Contains(errs, "configured") {
		t.Errorf("retiring: status %d, %s", status, errs)
	}
	n.end()
	write(second)
	n = start(t, url)
	n.until(app, false)
	n.end()

	for name, mistake := range map[string]func(t *testing.T){
		"both":     func(t *testing.T) { t.Setenv("ROLLCALL_TOKEN_KEY", first) },
		"no file":  func(t *testing.T) { t.Setenv("ROLLCALL_TOKEN_KEY_FILE", file+"x") },
		"a folder": func(t *testing.T) { t.Setenv("ROLLCALL_TOKEN_KEY_FILE", filepath.Dir(file)) },
		"short": func(t *testing.T) {
			t.Setenv("ROLLCALL_TOKEN_KEY_FILE", filepath.Join(t.TempDir(), "short"))
			if err := os.WriteFile(os.Getenv("ROLLCALL_TOKEN_KEY_FILE"), []byte("short"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			mistake(t)
			status, _, errs := run(t, "", "serve", "--listen", "127.0.0.1:0", "--ops-listen=")
			if status != 2 || !strings.Contains(errs, "ROLLCALL_TOKEN_KEY") || strings.Contains(errs, first) || strings.Count(errs, "\n") != 1 {
				t.Errorf("status %d, %s", status, errs)
			}
		})
	}
}

// TestSecretFiles checks that every secret setting can come from a file.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ROLLCALL_DATABASE_URL": testenv.SQLiteURL(t) + "\n", "ROLLCALL_ADMIN_PASSWORD": "correct horse battery\n",
		"ROLLCALL_REDIS_URL": testenv.RedisURL(t) + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name+"_FILE", path)
	}
	database, err := os.ReadFile(filepath.Join(dir, "ROLLCALL_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "ROLLCALL_TEST_") // of the tests
	})
	n := startWith(t, Streams{Environment: environment}, strings.TrimSpace(string(database)))
	if banner := n.banner(); !strings.Contains(banner, "Password    as given in ROLLCALL_ADMIN_PASSWORD\n") {
		t.Error("the banner does not say that the password was given")
	}
	if got := n.warnings(); len(got) > 0 {
		t.Errorf("warnings: %q", got)
	}
	if status, out, errs := run(t, "", "app", "list"); status != 0 || !strings.Contains(out, "demo-production") {
		t.Errorf("status %d, %s, %s", status, out, errs)
	}
}

// TestSecretFiles_Empty checks that an empty file is refused, because the setting would count as
// not set.
func TestSecretFiles_Empty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, name := range []string{
		"ROLLCALL_TOKEN_KEY", "ROLLCALL_DATABASE_KEY", "ROLLCALL_DATABASE_URL", "ROLLCALL_REDIS_URL", "ROLLCALL_ADMIN_PASSWORD",
	} {
		for _, text := range []string{"", "\n", " \t\r\n"} {
			t.Run(name, func(t *testing.T) {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if name != "ROLLCALL_DATABASE_URL" {
					t.Setenv("ROLLCALL_DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "rollcall.db"))
				}
				t.Setenv(name+"_FILE", file)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				var errs testenv.Log
				status := Run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--ops-listen="},
					Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs})
				if status != 2 || !strings.Contains(errs.String(), name+"_FILE") || !strings.Contains(errs.String(), file+" is empty") {
					t.Errorf("%q: status %d, %s", text, status, errs.String())
				}
			})
		}
	}
}
