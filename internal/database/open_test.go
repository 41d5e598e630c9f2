package database

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpen_ErrorsAreOneLine(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"nothing", "", "must start with sqlite: or mysql://"},
		{"unknown scheme", "postgres://a:b@c/d", "must start with sqlite: or mysql://"},
		{"no file", "sqlite:", "names no file"},
		{"no folder", "sqlite:/no/such/folder/x.db", "the folder /no/such/folder does not exist"},
		{"a folder", "sqlite:" + t.TempDir(), "cannot open database sqlite:"},
		{"no slashes", "mysql:root@localhost/x", "must start with mysql://"},
		{"no user", "mysql://localhost/x", "names no user"},
		{"no host", "mysql://root:hunter2@/x", "names no host"},
		{"no database", "mysql://root:hunter2@localhost", "names no database"},
		{"two databases", "mysql://root:hunter2@localhost/a/b", "names no database"},
		{"open socket", "mysql://root:hunter2@unix(/tmp/x", "names no socket"},
		{"bad escape", "mysql://root:hunter2%zz@localhost/x", "cannot be read"},
		{"unknown parameter", "mysql://root:hunter2@localhost/x?foo=1", `parameter "foo"`},
		{"an invalid host", "mysql://root:hunter2@a,b:0/x", "names an invalid host"},
		{"an empty host", "mysql://root:hunter2@a,/x", "names an invalid host"},
		{"a socket among hosts", "mysql://root:hunter2@unix(/tmp/x),b/x", "a socket and hosts"},
		{"no server", "mysql://root:hunter2@127.0.0.1:1,127.0.0.1:2/x", "127.0.0.1:2: dial tcp"},
		{"unknown tls", "mysql://root:hunter2@localhost/x?tls=perhaps", "neither true nor false"},
		{"nobody there", "mysql://root:hunter2@127.0.0.1:1/x", "cannot reach database mysql://root@127.0.0.1:1/x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, err := Open(context.Background(), test.url)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want it to say %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q tells the password", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has several lines", err)
			}
		})
	}
}

func TestParseMySQL(t *testing.T) {
	tests := []struct{ url, user, password, network, address, name, tls string }{
		{"mysql://ann:pw@db.example:3307/im", "ann", "pw", "tcp", "db.example:3307", "im", ""},
		{"mysql://ann@db.example/im", "ann", "", "tcp", "db.example:3306", "im", ""},
		{"mysql://ann:p%40%2F@db.example/im?tls=true", "ann", "p@/", "tcp", "db.example:3306", "im", "true"},
		{"mysql://ann@unix(/run/my.sock)/im", "ann", "", "unix", "/run/my.sock", "im", ""},
		{"mysql://ann:pw@[::1]:3306/im", "ann", "pw", "tcp", "[::1]:3306", "im", ""},
	}
	for _, test := range tests {
		cfg, addresses, err := parseMySQL(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		got := [...]string{cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName, cfg.TLSConfig}
		want := [...]string{test.user, test.password, test.network, test.address, test.name, test.tls}
		if got != want || !slices.Equal(addresses, []string{test.address}) {
			t.Errorf("%s: got %q, want %q; addresses %q", test.url, got, want, addresses)
		}
	}
	_, addresses, err := parseMySQL("mysql://ann:p,w@one:3307,[::1],two/im?tls=true")
	if err != nil || !slices.Equal(addresses, []string{"one:3307", "[::1]:3306", "two:3306"}) {
		t.Errorf("several hosts: %q, %v", addresses, err)
	}
}

// TestOpen_FilesThatAreNotDatabases: a file that is not a database, or only the beginning of one, is
// refused with one clear line when it is opened or its version is read, and is not changed.
func TestOpen_FilesThatAreNotDatabases(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	db, err := Open(t.Context(), "sqlite:"+good)
	if err == nil {
		err = errors.Join(db.Migrate(t.Context()), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	scrambled := bytes.Clone(whole)
	for i := 4096; i < len(scrambled); i++ {
		scrambled[i] ^= 0x5a
	}
	const foreign, damaged = "the file is not an SQLite database", "the file is damaged"
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"a text":          {bytes.Repeat([]byte("no database. "), 100), foreign},
		"a word":          {[]byte("hi\n"), foreign},
		"the header":      {whole[:50], damaged},
		"the first page":  {whole[:4096], damaged},
		"the first half":  {whole[:len(whole)/2], damaged},
		"scrambled pages": {scrambled, damaged},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), "sqlite:"+path)
		if err == nil {
			err = db.Migrate(t.Context())
			db.Close()
		}
		if err == nil || !strings.HasSuffix(strings.SplitN(err.Error(), ",", 2)[0], "sqlite:"+path+": "+test.want) {
			t.Errorf("%s: error %v, want it to say %q", name, err, test.want)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, test.content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// FuzzParseMySQL: no URL makes the parser panic, and no error repeats what could be a password.
func FuzzParseMySQL(f *testing.F) {
	f.Add("mysql://ann:secret-word@db.example:3307/im?tls=true")
	f.Add("mysql://ann:secret-word@unix(/run/my.sock)/im")
	f.Add("mysql://:@/")
	f.Add("mysql://ann:secret-word@one:1,[::1]:2/im")
	f.Fuzz(func(t *testing.T, url string) {
		if _, _, err := parseMySQL(url); err != nil && strings.Contains(err.Error(), "secret-word") && !strings.Contains(url, "?") {
			t.Errorf("error %q tells the password", err)
		}
	})
}

func TestSQLitePathsWithSpecialCharacters(t *testing.T) {
	for _, name := range []string{"plain.db", "with space.db", "q?a=b#c.db", "100%.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := Open(context.Background(), "sqlite:"+path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := db.Migrate(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		db.Close()
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(found) == 0 || found[0] != path {
			t.Errorf("%s: the folder has %q", name, found)
		}
	}
	t.Chdir(t.TempDir())
	db, err := Open(context.Background(), "sqlite:relative.db")
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if found, _ := filepath.Glob("relative.db"); len(found) != 1 {
		t.Error("a relative path made no file here")
	}
}
