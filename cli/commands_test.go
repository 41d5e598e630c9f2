package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"gorm.io/gorm"

	"rollcall/graph"
	"rollcall/internal/audit"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

func TestAuditVerify(t *testing.T) {
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	run(t, "", "app", "create", "--name", "chat", "--environment", "development")
	db := testenv.Open(t, url)
	chain := func() {
		if err := audit.New(db, time.Now).Chain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := func(status int, words string, args ...string) string {
		t.Helper()
		got, out, errs := run(t, "", append([]string{"audit", "verify"}, args...)...)
		if got != status || !strings.Contains(out+errs, words) {
			t.Errorf("%q: status %d, %q, %q", args, got, out, errs)
		}
		return out
	}
	want(0, "unchained  1")
	chain()
	out := want(0, "checked    1 entries, after number 0")
	_, head, _ := strings.Cut(strings.TrimSpace(out), "head       ")
	run(t, "", "app", "create", "--name", "other", "--environment", "development")
	chain()
	want(0, "checked    2", "--head", head)
	want(0, `"ok":true`, "--json", "--head", head)
	want(2, "is not a head", "--head", "12")
	want(1, "the head is not in the chain", "--head", "1:"+strings.Repeat("00", 32))
	err := db.Tx(t.Context(), func(tx *gorm.DB) error {
		return tx.Exec("UPDATE audit_entries SET actor = 'bob' WHERE chain_number = 2").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	want(1, "(app.create, number 2 of the chain) was changed")
	want(1, `"fault":"changed","number":2`, "--json")
}

// TestAppCommands_DisableAndDelete also deletes users, as no other command does.
func TestAppCommands_DisableAndDelete(t *testing.T) {
	t.Setenv("ROLLCALL_DATABASE_URL", testenv.SQLiteURL(t))
	_, out, _ := run(t, "", "app", "create", "--name", "chat", "--environment", "development", "--json")
	var created struct{ Key string }
	if err := json.Unmarshal([]byte(out), &created); err != nil {
		t.Fatal(err)
	}
	run(t, "", "seed", "--app", created.Key, "--users", "40", "--friends", "3")
	for _, c := range []struct {
		args   string
		status int
		words  string
	}{
		{"delete KEY --name chat", 2, "disable the app"},
		{"disable KEY", 0, "chat is disabled"},
		{"disable KEY", 0, "chat is already disabled"},
		{"list", 0, "disabled"},
		{"list --json", 0, `"disabledAt":"20`},
		{"enable KEY", 0, "chat is enabled"},
		{"enable KEY", 0, "chat is already enabled"},
		{"list", 0, "enabled"},
		{"disable KEY", 0, "chat is disabled"},
		{"delete KEY --name demo", 2, "is not that of the app"},
		{"delete KEY", 2, "--name"},
		{"delete KEY --name chat", 0, "chat is deleted"},
		{"list --json", 0, "[]"},
		{"delete KEY --name chat", 2, "there is no app"},
		{"disable KEY", 2, "there is no app"},
		{"enable KEY", 2, "there is no app"},
	} {
		status, out, errs := run(t, "", append([]string{"app"}, strings.Fields(strings.ReplaceAll(c.args, "KEY", created.Key))...)...)
		if status != c.status || !strings.Contains(out+errs, c.words) {
			t.Errorf("app %s: status %d, %q, %q", c.args, status, out, errs)
		}
	}
}

func TestAppCommands(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		status, out, errs := run(t, "", "app", "create", "--name", "chat", "--environment", "Production", "--edition", "FLAGSHIP", "--json")
		var created map[string]string
		if err := json.Unmarshal([]byte(out), &created); status != 0 || err != nil || strings.Count(out, "\n") != 1 {
			t.Fatalf("status %d, %v, %q, %q", status, err, out, errs)
		}
		if created["name"] != "chat" || created["environment"] != "PRODUCTION" || created["edition"] != "FLAGSHIP" || created["key"] == "" || created["secret"] == "" || len(created) != 5 {
			t.Errorf("%v", created)
		}
		key := created["key"]
		if status, _, errs := run(t, "", "app", "set", key, "statusQueryEnabled=true", "friendLimit=3"); status != 0 {
			t.Errorf("status %d, %q", status, errs)
		}
		status, out, _ = run(t, "", "app", "list", "--json")
		var list []struct {
			Key, Secret, Edition string
			Settings             struct {
				StatusQueryEnabled bool
				FriendLimit        int
			}
		}
		if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil || len(list) != 1 {
			t.Fatalf("status %d, %v, %q", status, err, out)
		}
		if list[0].Key != key || list[0].Secret != "" || !list[0].Settings.StatusQueryEnabled || list[0].Settings.FriendLimit != 3 {
			t.Errorf("%+v", list[0])
		}
		status, out, _ = run(t, "", "app", "rotate-secret", key, "--json")
		var rotated map[string]string
		if err := json.Unmarshal([]byte(out), &rotated); status != 0 || err != nil || rotated["key"] != key || rotated["secret"] == created["secret"] || len(rotated) != 2 {
			t.Errorf("status %d, %v, %q", status, err, out)
		}
		if status, out, _ := run(t, "", "app", "rotate-secret", key, "--overlap", "24h"); status != 0 || !strings.Contains(out, "the previous secret and its tokens are valid until 20") {
			t.Errorf("with an overlap: status %d, %q", status, out)
		}
		if status, out, _ := run(t, "", "app", "rotate-secret", key); status != 0 || strings.Contains(out, "previous") {
			t.Errorf("without an overlap: status %d, %q", status, out)
		}
		if status, out, _ := run(t, "", "app", "list"); status != 0 || !strings.Contains(out, key) || strings.Contains(out, rotated["secret"]) {
			t.Errorf("status %d, %q", status, out)
		}
		if status, _, errs := run(t, "", "seed", "--app", key, "--users", "1200"); status != 0 || !strings.Contains(errs, "1200/1200") {
			t.Errorf("seed: status %d, %q", status, errs)
		}
		if status, out, _ := run(t, "", "app", "list"); status != 0 || !strings.Contains(out, "1200") {
			t.Errorf("status %d, %q", status, out)
		}
	})
}

func TestOperatorCommands(t *testing.T) {
	t.Setenv("ROLLCALL_DATABASE_URL", testenv.SQLiteURL(t))
	if status, out, errs := run(t, "correct horse battery\n", "operator", "create", "ann", "--role", "viewer"); status != 0 || strings.Contains(out, "horse") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, out, errs := run(t, "", "operator", "create", "bob", "--role", "owner"); status != 0 || !strings.Contains(out, "password  ") {
		t.Errorf("a generated password is printed: status %d, %q, %q", status, out, errs)
	}
	if status, out, errs := run(t, "", "operator", "set-password", "ann"); status != 0 || !strings.Contains(out, "password  ") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, out, errs := run(t, "", "operator", "set-role", "ann", "--role", "owner"); status != 0 || out != "ann is owner of all apps now\n" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, out, errs := run(t, "", "operator", "delete", "bob"); status != 0 || out != "bob is deleted\n" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, _, errs := run(t, "", "operator", "delete", "ann"); status != 2 || !strings.Contains(errs, "only owner") {
		t.Errorf("deleting the last owner: status %d, %q", status, errs)
	}
	if status, _, errs := run(t, "", "operator", "set-role", "ann", "--role", "viewer"); status != 2 || !strings.Contains(errs, "only owner") {
		t.Errorf("making the last owner a viewer: status %d, %q", status, errs)
	}
	if status, out, errs := run(t, "", "operator", "set-role", "ann", "--role", "owner"); status != 0 || out != "ann is owner of all apps already\n" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, out, _ := run(t, "", "operator", "list"); status != 0 || !strings.Contains(out, "ann") || !strings.Contains(out, "owner  all apps") || strings.Contains(out, "bob") {
		t.Errorf("status %d, %q", status, out)
	}
}

func TestOperator_ResetSecondFactor(t *testing.T) {
	ctx := t.Context()
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	run(t, "tidy harbour\n", "operator", "create", "ann", "--role", "viewer")
	db := testenv.Open(t, url)
	if _, err := token.OpenKeys(ctx, db, "", time.Now); err != nil {
		t.Fatal(err)
	}
	rules := operators.New(db, time.Now)
	ann, err := rules.ByName(ctx, "ann")
	if err == nil {
		err = rules.StartTOTP(ctx, ann)
	}
	if err != nil {
		t.Fatal(err)
	}
	started, err := rules.StartedTOTP(ctx, ann)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(started.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.ConfirmTOTP(ctx, ann, code, models.Actor{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ann has no second factor now\n", "ann had no second factor\n"} {
		if status, out, errs := run(t, "", "operator", "reset-second-factor", "ann"); status != 0 || out != want {
			t.Errorf("status %d, %q, %q", status, out, errs)
		}
	}
	if status, _, errs := run(t, "", "operator", "reset-second-factor", "bob"); status != 2 || !strings.Contains(errs, "bob") {
		t.Errorf("an unknown name: status %d, %q", status, errs)
	}
}

func TestOperatorCommands_NamedApps(t *testing.T) {
	t.Setenv("ROLLCALL_DATABASE_URL", testenv.SQLiteURL(t))
	keys := map[string]string{}
	for _, name := range []string{"chat", "game"} {
		_, out, errs := run(t, "", "app", "create", "--name", name, "--environment", "production", "--json")
		var made struct{ Key string }
		if err := json.Unmarshal([]byte(out), &made); err != nil {
			t.Fatal(err, errs)
		}
		keys[name] = made.Key
	}
	if status, out, errs := run(t, "", "operator", "create", "mo", "--role", "moderator", "--app", keys["game"], "--app", keys["chat"]); status != 0 {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if _, out, _ := run(t, "", "operator", "list"); !strings.Contains(out, "moderator  chat, game") {
		t.Errorf("%q", out)
	}
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		// Without --app and --all-apps the apps stay.
		{[]string{"--role", "admin"}, 0, "mo is admin of chat, game now\n"},
		{[]string{"--role", "admin", "--app", keys["chat"]}, 0, "mo is admin of chat now\n"},
		{[]string{"--role", "admin", "--app", "rcnothing"}, 2, "rcnothing"},
		{[]string{"--role", "admin", "--app", keys["chat"], "--all-apps"}, 2, "--all-apps"},
		{[]string{"--role", "owner"}, 2, "an owner is always for all apps"},
		{[]string{"--role", "owner", "--all-apps"}, 0, "mo is owner of all apps now\n"},
	} {
		status, out, errs := run(t, "", append([]string{"operator", "set-role", "mo"}, c.args...)...)
		if status != c.status || !strings.Contains(out+errs, c.text) {
			t.Errorf("%v: status %d, %q, %q", c.args, status, out, errs)
		}
	}
}

// TestOperator_PasswordFromAnEditor checks a password in a file that begins with a byte order mark
// and has Windows line ends, and whose accents are composed differently from the typed ones.
func TestOperator_PasswordFromAnEditor(t *testing.T) {
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	for _, args := range [][]string{{"operator", "create", "ann", "--role", "viewer"}, {"operator", "set-password", "ann"}} {
		if status, out, errs := run(t, "\ufeffpasse\u0301 1234 "+args[1]+"\r\n", args...); status != 0 || strings.Contains(out, "password ") {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
		operatorRules := operators.New(testenv.Open(t, url), time.Now)
		login := operators.LoginRequest{Name: "ann", Password: "passé 1234 " + args[1], Address: "192.0.2.1"}
		if _, err := operatorRules.Login(t.Context(), login); err != nil {
			t.Errorf("after %v: %v", args, err)
		}
	}
	for _, stdin := range []string{"\ufeff\r\n", "\xff\xfep\x00a\x00s\x00s\x00w\x00o\x00r\x00d\x00"} {
		if status, out, errs := run(t, stdin, "operator", "set-password", "ann"); status != 2 || out != "" {
			t.Errorf("%q: status %d, %q, %q", stdin, status, out, errs)
		}
	}
}

func TestMigrateCommands(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		if status, out, _ := run(t, "", "migrate", "status"); status != 0 || !strings.Contains(out, "at version 0 of") {
			t.Errorf("status %d, %q", status, out)
		}
		if status, _, errs := run(t, "", "serve", "--no-migrate", "--listen", "127.0.0.1:0", "--ops-listen", ""); status != 1 || !strings.Contains(errs, "migrate up") {
			t.Errorf("status %d, %q", status, errs)
		}
		if status, out, errs := run(t, "", "migrate", "up"); status != 0 {
			t.Errorf("status %d, %q, %q", status, out, errs)
		}
		if status, out, _ := run(t, "", "migrate", "status"); status != 0 || !strings.Contains(out, "up to date") {
			t.Errorf("status %d, %q", status, out)
		}
	})
}

// TestMigrate_NewerSchema checks that the commands name both versions and do not change the schema.
func TestMigrate_NewerSchema(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		db := testenv.Open(t, url)
		v, err := db.Version(t.Context())
		if err == nil {
			err = db.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", v.Latest+1, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		newer, known := fmt.Sprintf("at version %d", v.Latest+1), fmt.Sprintf("knows version %d ", v.Latest)
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		if status, out, errs := run(t, "", "migrate", "status"); status != 0 || !strings.Contains(out, newer) || !strings.Contains(out, known) || strings.Contains(out, "up to date") {
			t.Errorf("status %d, %q, %q", status, out, errs)
		}
		for _, args := range []string{"migrate up", "serve --listen 127.0.0.1:0 --ops-listen=", "serve --no-migrate --listen 127.0.0.1:0 --ops-listen=", "app create --name x --environment production"} {
			status, out, errs := run(t, "", strings.Fields(args)...)
			if status != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, newer) || !strings.Contains(errs, known) {
				t.Errorf("%s: status %d, %q, %q", args, status, out, errs)
			}
		}
		if after, err := db.Version(t.Context()); err != nil || after.Current != v.Latest+1 {
			t.Errorf("%+v, %v", after, err)
		}
	})
}

// TestCommands_LeaveAnEarlierSchema: servers of the earlier release may still run on it.
func TestCommands_LeaveAnEarlierSchema(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		db := testenv.Open(t, url)
		v, err := db.Version(t.Context())
		if err == nil {
			err = db.Exec(t.Context(), "DELETE FROM goose_db_version WHERE version_id = ?", v.Latest)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		for _, args := range []string{"app list", "operator list", "token-key list", "audit verify"} {
			status, out, errs := run(t, "", strings.Fields(args)...)
			if status != exitFailure || out != "" || !strings.Contains(errs, fmt.Sprintf("at version %d of an earlier release", v.Latest-1)) || !strings.Contains(errs, "migrate up") {
				t.Errorf("%s: status %d, %q, %q", args, status, out, errs)
			}
		}
		if after, err := db.Version(t.Context()); err != nil || after.Current != v.Latest-1 {
			t.Errorf("%+v, %v", after, err)
		}
	})
}

// TestRun_MistakesInOneLine checks that a wrong flag or value exits with status 2, and an
// unreachable server with status 1, each with one line that contains no password.
func TestRun_MistakesInOneLine(t *testing.T) {
	t.Setenv("ROLLCALL_DATABASE_URL", testenv.SQLiteURL(t))
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"dance", 2, "dance"},
		{"--colour red", 2, "colour"},
		{"serve --listen nowhere", 2, "ROLLCALL_LISTEN"},
		{"serve --listen 127.0.0.1:99999", 2, "ROLLCALL_LISTEN"},
		{"serve --ops-listen nowhere", 2, "ROLLCALL_OPS_LISTEN"},
		{"serve --ping-interval 999ms", 2, "ROLLCALL_PING_INTERVAL must be from 1s to 1h0m0s"},
		{"serve --heartbeat-timeout soon", 2, "ROLLCALL_HEARTBEAT_TIMEOUT (--heartbeat-timeout): expected duration"},
		{"serve --heartbeat-timeout 0s", 2, "ROLLCALL_HEARTBEAT_TIMEOUT"},
		{"serve --status-subscription-linger 0s", 2, "ROLLCALL_STATUS_SUBSCRIPTION_LINGER"},
		{"serve --token-key short", 2, "ROLLCALL_TOKEN_KEY"},
		{"serve --max-response-size 1000", 2, "ROLLCALL_MAX_RESPONSE_SIZE must be from 1048576 to 1073741824"},
		{"serve --max-response-size 8MiB", 2, "ROLLCALL_MAX_RESPONSE_SIZE (--max-response-size)"},
		{"serve --connections-per-address=-1", 2, "ROLLCALL_CONNECTIONS_PER_ADDRESS must not be negative"},
		{"serve --rate-limits no", 2, "ROLLCALL_RATE_LIMITS"},
		{"serve --introspection maybe", 2, "introspection"},
		{"serve --allowed-origins chat.example", 2, "ROLLCALL_ALLOWED_ORIGINS"},
		{"serve --allowed-origins https://*.chat.example", 2, "ROLLCALL_ALLOWED_ORIGINS"},
		{"serve --trusted-proxies proxy", 2, "ROLLCALL_TRUSTED_PROXIES"},
		{"serve --database-max-connections 3", 2, "ROLLCALL_DATABASE_MAX_CONNECTIONS must be from 4 to 10000"},
		{"serve --redis-url localhost:6379", 2, "ROLLCALL_REDIS_URL"},
		{"serve --redis-url http://u:hunter2@localhost", 2, "ROLLCALL_REDIS_URL"},
		{"serve --redis-url redis://u:hunter2@localhost/zero", 2, "ROLLCALL_REDIS_URL"},
		{"serve --redis-url redis://u:hunter2@%zz", 2, "ROLLCALL_REDIS_URL"},
		{"serve --redis-url redis://u:hunter2@a,b?sentinel_password=hunter2", 2, "ROLLCALL_REDIS_URL has a sentinel_username or sentinel_password without master_name"},
		{"serve --redis-url redis://u:hunter2@127.0.0.1:1,127.0.0.1:2?master_name=main&sentinel_password=hunter2", 1, "redis://u@127.0.0.1:1,127.0.0.1:2?master_name=main"},
		{"serve --redis-url redis://u:hunter2@127.0.0.1:1/3", 1, "redis://u@127.0.0.1:1/3"},
		{"serve --admin-password short --listen 127.0.0.1:0 --ops-listen=", 2, "ROLLCALL_ADMIN_PASSWORD"},
		{"serve --admin-password Password1234 --listen 127.0.0.1:0 --ops-listen=", 2, "ROLLCALL_ADMIN_PASSWORD: password must not be a common one"},
		{"--log-level loud", 2, "ROLLCALL_LOG_LEVEL (--log-level) must be one of"},
		{"--database-url postgres://x", 2, "ROLLCALL_DATABASE_URL: the database URL must start with sqlite: or mysql://"},
		{"serve --database-url mysql://u:hunter2@host/", 2, "ROLLCALL_DATABASE_URL: the database URL names no database"},
		{"serve --database-url mysql://u:hunter2@host/x?tls=banana", 2, "ROLLCALL_DATABASE_URL: the database URL has a tls"},
		{"migrate status --database-url sqlite:", 2, "ROLLCALL_DATABASE_URL: the database URL sqlite: names no file"},
		{"--database-url mysql://root:hunter2@127.0.0.1:1/x", 1, "mysql://root@127.0.0.1:1/x"},
		{"app create --name x", 2, "environment"},
		{"app create --name x --environment staging", 2, "environment must be"},
		{"app create --name x --environment production --edition gold", 2, "edition must be"},
		{"app set nobody friendLimit=1", 2, "nobody"},
		{"app set nobody friendLimit", 2, "SETTING=VALUE"},
		{"app set nobody friendLimit=1 friendLimit=2", 2, "twice"},
		{"app rotate-secret nobody", 2, "nobody"},
		{"app rotate-secret nobody --overlap 721h", 2, "overlap must be"},
		{"app rotate-secret nobody --overlap=-1s", 2, "overlap must be"},
		{"operator create ann", 2, "role"},
		{"operator create ann --role king", 2, "role"},
		{"operator set-password nobody", 2, "nobody"},
		{"operator set-role nobody --role admin", 2, "nobody"},
		{"operator set-role ann --role king", 2, "role"},
		{"operator delete nobody", 2, "nobody"},
		{"seed --app nobody --users 5", 2, "nobody"},
		{"seed --app nobody --users 0", 2, "users"},
	} {
		status, out, errs := run(t, "", strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: status %d, %q, %q", c.args, status, out, errs)
		}
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s: the password is printed: %q", c.args, errs)
		}
	}
}

func TestSchema_PrintsThePublicOne(t *testing.T) {
	if status, out, _ := run(t, "", "schema"); status != 0 || out != graph.SDL() {
		t.Errorf("status %d, %.300q", status, out)
	}
	if status, out, _ := run(t, "", "schema", "--subgraph"); status != 0 || out != graph.SubgraphSDL() {
		t.Errorf("the subgraph: status %d, %.300q", status, out)
	}
}

func TestLicenses_PrintsNotices(t *testing.T) {
	var out bytes.Buffer
	status := Run(t.Context(), []string{"licenses"}, Streams{Out: &out, Err: io.Discard, Notices: "the notices\n"})
	if status != 0 || out.String() != "the notices\n" {
		t.Errorf("status %d, %q", status, out.String())
	}
}

func TestBackup_CopiesTheDatabaseOfARunningServer(t *testing.T) {
	url := testenv.SQLiteURL(t)
	start(t, url)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	file := filepath.Join(t.TempDir(), "copy.db")
	var printed struct {
		File   string
		Bytes  int64
		Schema int64
	}
	status, out, errs := run(t, "", "backup", "--json", file)
	if status != 0 || json.Unmarshal([]byte(out), &printed) != nil || printed.File != file || printed.Bytes < 4096 || printed.Schema < 40 {
		t.Errorf("status %d, %s, %s", status, out, errs)
	}
	if status, _, errs := run(t, "", "backup", file); status != exitUsage || !strings.Contains(errs, "exists; name a new file") {
		t.Errorf("onto the copy: status %d, %s", status, errs)
	}
	if status, out, errs := run(t, "", "--database-url=sqlite:"+file, "app", "list"); status != 0 || !strings.Contains(out, "demo-production") {
		t.Errorf("the copy: status %d, %s, %s", status, out, errs)
	}
}

func TestVersion_NamesTheBuild(t *testing.T) {
	b := build{Version: "1.2.3", Go: "go1.26.0", Platform: "linux/amd64"}
	if got, want := b.String(), "rollcall 1.2.3 (go1.26.0, linux/amd64)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b.Commit, b.CommittedAt, b.Modified = "0123456789abcdef", "2026-11-20T09:00:00Z", true
	if got, want := b.String(), "rollcall 1.2.3 (commit 0123456789ab with changes, 2026-11-20T09:00:00Z, go1.26.0, linux/amd64)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var printed build
	if status, out, _ := run(t, "", "version", "--json"); status != 0 || json.Unmarshal([]byte(out), &printed) != nil || printed.Version != Version || printed.Go == "" {
		t.Errorf("status %d, %q", status, out)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if status, out, _ := run(t, "", "version"); status != 0 || !strings.HasPrefix(out, "rollcall ") {
		t.Errorf("status %d, %q", status, out)
	}
	for _, help := range []string{"--help", "help"} {
		if status, out, _ := run(t, "", help); status != 0 || !strings.Contains(out, "ROLLCALL_DATABASE_URL") || !strings.Contains(out, "migrate") {
			t.Errorf("%s: status %d, %q", help, status, out)
		}
	}
}
