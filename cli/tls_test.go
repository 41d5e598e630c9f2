package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
