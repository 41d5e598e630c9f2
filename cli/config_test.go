package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"rollcall/internal/testenv"
)

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rollcall.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfig_FlagOverEnvironmentOverFile sets settings in several places, and checks which value is in
// force, where it is from, and that no secret is printed.
func TestConfig_FlagOverEnvironmentOverFile(t *testing.T) {
	const key = "0123456789012345678901234567890123456789"
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := writeConfig(t, `# A comment.
listen: 127.0.0.1:1
ops-listen: ""
ping-interval: 10s
heartbeat-timeout: 20s
log-level: error
introspection: off
connections-per-address: 7
webhook-allow-private: true
allowed-origins: [https://a.example, "https://b.example"]
trusted-proxies: 10.0.0.1,10.0.0.2
sso-roles:
  - owner=ops
  - viewer=*
token-key-file: `+secret+`
redis-url: redis://ann:hunter2@one:1,two:2/0?master_name=m&sentinel_password=hunter3
`)
	t.Setenv("ROLLCALL_PING_INTERVAL", "11s")
	t.Setenv("ROLLCALL_LOG_LEVEL", "warn")
	t.Setenv("ROLLCALL_ADMIN_PASSWORD", "hunter4")
	t.Setenv("ROLLCALL_DATABASE_KEY_FILE", secret)
	args := []string{"config", "--config", path, "--log-level", "debug"}
	status, out, errs := run(t, "", append(args, "--json")...)
	var list []settingJSON
	if err := json.Unmarshal([]byte(out), &list); status != exitOK || err != nil {
		t.Fatalf("status %d, %s, %v", status, errs, err)
	}
	got := make(map[string]settingJSON)
	for _, one := range list {
		if _, twice := got[one.Name]; twice {
			t.Errorf("%s is printed twice", one.Name)
		}
		got[one.Name] = one
	}
	for name, want := range map[string][3]string{
		"config":                  {path, "flag", ""},
		"listen":                  {"127.0.0.1:1", "file", path + ":2"},
		"ops-listen":              {"", "file", path + ":3"},
		"ping-interval":           {"11s", "environment", "ROLLCALL_PING_INTERVAL"},
		"heartbeat-timeout":       {"20s", "file", path + ":5"},
		"log-level":               {"debug", "flag", ""},
		"introspection":           {"off", "file", path + ":7"},
		"connections-per-address": {"7", "file", path + ":8"},
		"webhook-allow-private":   {"true", "file", path + ":9"},
		"allowed-origins":         {"https://a.example,https://b.example", "file", path + ":10"},
		"trusted-proxies":         {"10.0.0.1,10.0.0.2", "file", path + ":11"},
		"sso-roles":               {"owner=ops;viewer=*", "file", path + ":12"},
		"token-key":               {"********", "file", path + ":15"},
		"redis-url":               {"redis://ann:********@one:1,two:2/0?master_name=m&sentinel_password=********", "file", path + ":16"},
		"admin-password":          {"********", "environment", "ROLLCALL_ADMIN_PASSWORD"},
		"database-key":            {"********", "environment", "ROLLCALL_DATABASE_KEY_FILE"},
		"database-url":            {"sqlite:rollcall.db", "default", ""},
		"drain-timeout":           {"20s", "default", ""},
		"sso-client-secret":       {"", "default", ""},
	} {
		if one := got[name]; [3]string{one.Value, one.Source, one.At} != want {
			t.Errorf("%s is %+v, want %q", name, one, want)
		}
	}
	status, text, errs := run(t, "", args...)
	if status != exitOK || !strings.Contains(text, "introspection ") || !strings.Contains(text, path+":7\n") || strings.Count(text, "\n") != len(list)+1 {
		t.Errorf("status %d, %s\n%s", status, errs, text)
	}
	for _, printed := range []string{out, text} {
		if strings.Contains(printed, "hunter") || strings.Contains(printed, key) {
			t.Errorf("a secret is printed:\n%s", printed)
		}
	}
}

func TestConfig_MistakesNameTheLine(t *testing.T) {
	t.Setenv("ROLLCALL_DATABASE_URL", testenv.SQLiteURL(t))
	for _, c := range []struct{ text, says string }{
		{"listen: 127.0.0.1:1\nredis-ulr: redis://x\n", `:2: there is no setting "redis-ulr"; the nearest is "redis-url"`},
		{"token-key-fil: x", `:1: there is no setting "token-key-fil"; the nearest is "token-key-file"`},
		{"listen-file: x", `:1: there is no setting "listen-file"`},
		{"ROLLCALL_LISTEN: 127.0.0.1:1", `:1: there is no setting "ROLLCALL_LISTEN"; the nearest is "listen"`},
		{"LISTEN: 127.0.0.1:1", `:1: there is no setting "LISTEN"; the nearest is "listen"`},
		{"ROLLCALL_TOKEN_KEY_FILE: x", `:1: there is no setting "ROLLCALL_TOKEN_KEY_FILE"; the nearest is "token-key-file"`},
		{"allowed-origins:\n\t- https://a.example", `:2: a line begins with a tab; YAML takes only spaces there`},
		{"\tlisten: 127.0.0.1:1", `:1: a line begins with a tab; YAML takes only spaces there`},
		{"config: other.yaml", `:1: there is no setting "config"`},
		{"json: true", `:1: there is no setting "json"`},
		{"\nping-interval: soon", ":2: ping-interval: expected duration"},
		{"ping-interval: 25", ":1: ping-interval: "},
		{"log-level: loud", ":1: log-level must be one of"},
		{"log-level: info\n\nlog-level: warn", `:3: mapping key "log-level" already defined at [1:1]`},
		{"listen: [a, b]", ":1: listen must have one value"},
		{"listen:", ":1: listen must have one value"},
		{"allowed-origins: {a: b}", ":1: allowed-origins must have one value or a list"},
		{"token-key: hunter2\ntoken-key-file: x", ":2: token-key and token-key-file are both set"},
		{"token-key-file: /no/such/file", ":1: token-key-file: open /no/such/file"},
		{"token-key-file: [a]", ":1: token-key-file must have one value"},
		{"listen: a\n---\nlisten: b", ": there must be one document only"},
		{"- listen", ":1: the file must have lines such as"},
		{"hunter2", ":1: the file must have lines such as"},
		{"token-key: [hunter2", ":1: "},
	} {
		path := writeConfig(t, c.text)
		for _, command := range [][]string{{"serve"}, {"config", "check"}} {
			status, out, errs := run(t, "", append(command, "--config", path)...)
			if status != exitUsage || !strings.HasPrefix(errs, "rollcall: "+path+":") || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 || out != "" {
				t.Errorf("%q: %s: status %d, %s%s; want %q", c.text, command, status, out, errs, c.says)
			}
			if strings.Contains(errs, "hunter2") {
				t.Errorf("%q: a secret is printed: %s", c.text, errs)
			}
		}
	}
	t.Setenv("ROLLCALL_CONFIG", "/no/such/file")
	if status, _, errs := run(t, "", "app", "list"); status != exitUsage || !strings.HasPrefix(errs, "rollcall: ROLLCALL_CONFIG (--config): open /no/such/file") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestServe_ReadsTheConfigurationFile starts a server from a file, which other commands use too.
func TestServe_ReadsTheConfigurationFile(t *testing.T) {
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_CONFIG", writeConfig(t, "database-url: "+url+"\nintrospection: off\n"))
	n := start(t, url)
	if status, _ := get(t, n.base+"/graphql/schema.graphql"); status != 404 {
		t.Errorf("the schema is served: %d", status)
	}
	if status, out, errs := run(t, "", "app", "list"); status != exitOK || !strings.Contains(out, "demo") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		text, says string
		status     int
	}{
		{"", "the settings are valid", exitOK},
		{"database-url: mysql://ann:x@db/rollcall\nredis-url: redis://cache", "the settings are valid", exitOK},
		{"database-url: mysql://ann:hunter2@db", ":1: database-url: the database URL names no database", exitUsage},
		{"database-max-connections: 3", ":1: database-max-connections must be from", exitUsage},
		{"database-key: short", ":1: database-key: ", exitUsage},
		{"trusted-proxies: proxy", ":1: trusted-proxies: ", exitUsage},
		{"tls-cert: /no/such/file", ":1: tls-cert is set without ROLLCALL_TLS_KEY", exitUsage},
		{"listen: nowhere", ":1: listen: ", exitUsage},
		{"\ntoken-key: short", ":2: token-key: each key must have", exitUsage},
		{"admin-password: hunter2", ":1: admin-password: password must have at least 12 characters", exitUsage},
		{"admin-password: passwordpassword", ":1: admin-password: password must not be a common one", exitUsage},
		{"database-url: mysql://ann@db/rollcall\ndatabase-replica-url: mysql://ann:hunter2@copy/rollcall", "the settings are valid", exitOK},
		{"database-url: mysql://ann@db/rollcall\ndatabase-replica-url: mysql://ann:hunter2@a,b/rollcall", ":2: database-replica-url: the database URL names several hosts", exitUsage},
		{"database-replica-url: mysql://ann:hunter2@copy/rollcall", ":1: database-replica-url is set, but the database is a file of SQLite", exitUsage},
		{"database-replica-tls-ca: /no/such/file", ":1: database-replica-tls-ca is set, but", exitUsage},
		{"database-replica-max-lag: 1s", ":1: database-replica-max-lag must be from 5s", exitUsage},
	} {
		status, out, errs := run(t, "", "config", "check", "--config", writeConfig(t, c.text))
		if status != c.status || !strings.Contains(out+errs, c.says) || strings.Contains(errs, "hunter2") {
			t.Errorf("%q: status %d, %s%s; want %d, %s", c.text, status, out, errs, c.status, c.says)
		}
	}
}

// TestSettings_HaveOneName checks that a setting's name in the configuration file follows from that in the
// environment.
func TestSettings_HaveOneName(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Vars{"defaultDatabaseURL": defaultDatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	flags := settingsOf(parser.Model.Node)
	if len(flags) < 40 {
		t.Errorf("there are only %d settings", len(flags))
	}
	for name, flag := range flags {
		if want := settingPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); flag.Envs[0] != want {
			t.Errorf("%s is %s in the environment, want %s", name, flag.Envs[0], want)
		}
	}
}

func TestMaskedURL(t *testing.T) {
	for text, want := range map[string]string{
		"sqlite:/var/lib/a@b.db":                 "sqlite:/var/lib/a@b.db",
		"mysql://ann:hunter2@a:1,b/c?tls=true":   "mysql://ann:********@a:1,b/c?tls=true",
		"mysql://ann:hunter2@unix(/x.sock)/c":    "mysql://ann:********@unix(/x.sock)/c",
		"redis://cache:6379/0":                   "redis://cache:6379/0",
		"rediss://:hunter2@cache":                "rediss://:********@cache",
		"redis://a/0?sentinel_password=hunter2":  "redis://a/0?sentinel_password=********",
		"mysql://ann:hunter2/x@a/c":              mask,
		"mysql://ann:1?hunter2@a/c":              mask,
		"mysql://ann:1/hunter2@a/c":              mask,
		"redis://a/0?sentinel_password=x@hunter": mask,
		"hunter2":                                mask,
	} {
		if got := maskedURL(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
