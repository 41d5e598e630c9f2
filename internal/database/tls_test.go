package database_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/internal/clienttls"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// TestOpenWith_TLS connects to a server that accepts TLS with a client certificate only.
func TestOpenWith_TLS(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	ca, stranger := testenv.NewAuthority(t, later), testenv.NewAuthority(t, later)
	server, port := testenv.TLSMariaDB(t, ca, ca.Issue(t, later, "localhost"))
	name, err := server.PlainDatabase()
	if err == nil {
		err = server.Exec("ALTER USER " + name + " REQUIRE X509")
	}
	if err != nil {
		t.Fatal(err)
	}
	url := func(host, parameters string) string {
		return fmt.Sprintf("mysql://%s@%s:%d/%s%s", name, host, port, name, parameters)
	}
	pair, foreign := ca.Issue(t, later), stranger.Issue(t, later)
	good := clienttls.Files{CA: ca.File, Cert: pair.Cert, Key: pair.Key, Setting: "ROLLCALL_DATABASE_TLS_"}

	db, err := database.OpenWith(t.Context(), url("localhost", "?tls=true"), database.Options{TLS: good})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	lock, err := db.NodeLock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if !taken(t, lock) {
		t.Error("the lock of a node is not taken over TLS")
	}

	t.Run("follows renewed files", func(t *testing.T) {
		dir := t.TempDir()
		put := func(from, to string) {
			t.Helper()
			text, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		files := clienttls.Files{CA: ca.File, Cert: dir + "/cert", Key: dir + "/key"}
		put(pair.Cert, files.Cert)
		put(pair.Key, files.Key)
		db, err := database.OpenWith(t.Context(), url("localhost", "?tls=true"), database.Options{TLS: files})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		connect := func() error { // in a pool of its own
			lock, err := db.NodeLock()
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			_, err = lock.Take(t.Context())
			return err
		}
		put(foreign.Cert, files.Cert)
		if err := connect(); err != nil {
			t.Errorf("between the renewals of certificate and key: %v", err)
		}
		put(foreign.Key, files.Key)
		if err := connect(); err == nil || !database.Unavailable(err) {
			t.Errorf("a foreign certificate: %v", err)
		}
		renewed := ca.Issue(t, later)
		put(renewed.Cert, files.Cert)
		put(renewed.Key, files.Key)
		if err := connect(); err != nil {
			t.Errorf("a renewed certificate: %v", err)
		}
	})

	files := func(change func(*clienttls.Files)) clienttls.Files {
		f := good
		change(&f)
		return f
	}
	for what, test := range map[string]struct {
		url   string
		files clienttls.Files
		want  string
	}{
		"no TLS":                    {url("localhost", ""), clienttls.Files{}, "Access denied"},
		"no client certificate":     {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.Cert, f.Key = "", "" }), "Access denied"},
		"a foreign certificate":     {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.Cert, f.Key = foreign.Cert, foreign.Key }), "may have refused the client certificate in ROLLCALL_DATABASE_TLS_CERT"},
		"another CA":                {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.CA = stranger.File }), "no CA in ROLLCALL_DATABASE_TLS_CA"},
		"the system's CAs":          {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.CA = "" }), "set ROLLCALL_DATABASE_TLS_CA"},
		"another host name":         {url("127.0.0.1", "?tls=true"), good, "127.0.0.1"},
		"files without TLS":         {url("localhost", ""), good, "ROLLCALL_DATABASE_TLS_CERT is set, but the connection does not use TLS: add ?tls=true"},
		"files with tls=false":      {url("localhost", "?tls=false"), good, "does not use TLS"},
		"half a pair":               {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.Key = "" }), "without ROLLCALL_DATABASE_TLS_KEY"},
		"preferred":                 {url("localhost", "?tls=preferred"), good, "write tls=true"},
		"skip-verify":               {url("localhost", "?tls=skip-verify"), good, "write tls=true"},
		"a socket":                  {"mysql://root@unix(" + server.Socket() + ")/" + name + "?tls=true", good, "no host name"},
		"files with a SQLite file":  {testenv.SQLiteURL(t), good, "does not use TLS"},
		"files that do not exist":   {url("localhost", "?tls=true"), files(func(f *clienttls.Files) { f.CA = "/no/such/file" }), "/no/such/file"},
		"files for another network": {"mysql://root@unix(" + server.Socket() + ")/" + name, good, "does not use TLS"},
	} {
		db, err := database.OpenWith(t.Context(), test.url, database.Options{TLS: test.files})
		// A loaded machine may need longer for a handshake than a connection may take.
		for deadline := time.Now().Add(30 * time.Second); errors.Is(err, context.DeadlineExceeded) && time.Now().Before(deadline); {
			db, err = database.OpenWith(t.Context(), test.url, database.Options{TLS: test.files})
		}
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want it to say %q", what, err, test.want)
		}
	}
}

// TestOpenWith_TLS_NeverPlain: a server without TLS is refused.
func TestOpenWith_TLS_NeverPlain(t *testing.T) {
	plain, _ := testenv.ProxiedMySQLURL(t)
	db, err := database.Open(t.Context(), plain+"?tls=true")
	if err == nil {
		db.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "does not support TLS") || !database.Unavailable(err) {
		t.Errorf("a server without TLS: %v", err)
	}
	if db, err = database.Open(t.Context(), plain); err != nil {
		t.Fatalf("not even without TLS: %v", err)
	}
	db.Close()
}
