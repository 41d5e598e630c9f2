package clienttls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/clienttls"
	"rollcall/internal/testenv"
)

const setting = "ROLLCALL_TEST_TLS_"

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNew_NamesTheFileAndItsFault(t *testing.T) {
	later, past := time.Now().Add(12*time.Hour), time.Now().Add(-time.Hour)
	ca, pastCA := testenv.NewAuthority(t, later), testenv.NewAuthority(t, past)
	pair, other, expired := ca.Issue(t, later), ca.Issue(t, later), ca.Issue(t, past)
	early := ca.Issue(t, later.Add(36*time.Hour))
	dir := t.TempDir()
	text := write(t, filepath.Join(dir, "text"), "no certificate\n")
	damaged := write(t, filepath.Join(dir, "damaged"), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	encrypted := write(t, filepath.Join(dir, "encrypted"), strings.ReplaceAll(read(t, pair.Key), "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"))
	missing := filepath.Join(dir, "missing")
	for name, test := range map[string]struct {
		files clienttls.Files
		want  []string
	}{
		"no key":               {clienttls.Files{Cert: pair.Cert}, []string{"CERT", "without", setting + "KEY"}},
		"no certificate":       {clienttls.Files{Key: pair.Key}, []string{"KEY", "without", setting + "CERT"}},
		"CA missing":           {clienttls.Files{CA: missing}, []string{"CA", missing, "no such file"}},
		"CA a folder":          {clienttls.Files{CA: dir}, []string{"CA", dir, "is a directory"}},
		"CA not PEM":           {clienttls.Files{CA: text}, []string{"CA", text, "no certificate in PEM form"}},
		"CA a key":             {clienttls.Files{CA: pair.Key}, []string{"CA", pair.Key, "no certificate in PEM form"}},
		"CA damaged":           {clienttls.Files{CA: damaged}, []string{"CA", damaged, "damaged"}},
		"CA expired":           {clienttls.Files{CA: pastCA.File}, []string{"CA", pastCA.File, "expired on " + past.UTC().Format("2006-01-02T15:04:05Z")}},
		"certificate missing":  {clienttls.Files{Cert: missing, Key: pair.Key}, []string{"CERT", missing, "no such file"}},
		"certificate not PEM":  {clienttls.Files{Cert: text, Key: pair.Key}, []string{"CERT", text, "no certificate in PEM form"}},
		"certificate expired":  {clienttls.Files{Cert: expired.Cert, Key: expired.Key}, []string{"CERT", expired.Cert, "expired on"}},
		"certificate too new":  {clienttls.Files{Cert: early.Cert, Key: early.Key}, []string{"CERT", early.Cert, "not valid before"}},
		"key missing":          {clienttls.Files{Cert: pair.Cert, Key: missing}, []string{"KEY", missing, "no such file"}},
		"key not PEM":          {clienttls.Files{Cert: pair.Cert, Key: text}, []string{"KEY", text, "no private key in PEM form"}},
		"key encrypted":        {clienttls.Files{Cert: pair.Cert, Key: encrypted}, []string{"KEY", encrypted, "encrypted"}},
		"key of another":       {clienttls.Files{Cert: pair.Cert, Key: other.Key}, []string{"KEY", other.Key, pair.Cert, "does not match"}},
		"certificate and keys": {clienttls.Files{Cert: pair.Key, Key: pair.Cert}, []string{"CERT", pair.Key, "no certificate in PEM form"}},
	} {
		test.files.Setting = setting
		_, err := clienttls.New(test.files)
		wrong, ok := errors.AsType[*clienttls.Error](err)
		if !ok || !strings.HasPrefix(wrong.Error(), setting+test.want[0]+" ") {
			t.Errorf("%s: error %v, want one of %s%s", name, err, setting, test.want[0])
			continue
		}
		for _, want := range test.want[1:] {
			if !strings.Contains(wrong.Error(), want) {
				t.Errorf("%s: error %q, want it to say %q", name, wrong, want)
			}
		}
	}
	both := write(t, filepath.Join(dir, "both"), read(t, pastCA.File)+read(t, ca.File))
	if _, err := clienttls.New(clienttls.Files{CA: both, Cert: pair.Cert, Key: pair.Key}); err != nil {
		t.Errorf("an expired CA beside a valid one: %v", err)
	}
}

func TestCheckUnused(t *testing.T) {
	if err := (clienttls.Files{Setting: setting}).CheckUnused("add TLS"); err != nil {
		t.Errorf("no files: %v", err)
	}
	for name, files := range map[string]clienttls.Files{"CA": {CA: "x"}, "CERT": {Cert: "x"}, "KEY": {Key: "x"}} {
		files.Setting = setting
		err := files.CheckUnused("add TLS")
		if err == nil || !strings.HasPrefix(err.Error(), setting+name+" ") || !strings.HasSuffix(err.Error(), "add TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tlsServer accepts connections that have a client certificate of the CA, and returns its address.
func tlsServer(t *testing.T, ca *testenv.Authority, pair testenv.Pair, maxVersion uint16) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(read(t, ca.File)))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS10, MaxVersion: maxVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if conn.(*tls.Conn).Handshake() == nil {
					_, _ = conn.Write([]byte("x"))
				}
			}()
		}
	}()
	return l.Addr().String()
}

// greet connects as the redis and database packages do, and returns the error.
func greet(t *testing.T, source *clienttls.Source, address string) error {
	t.Helper()
	host, _, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: source.Config(host)}).DialContext(ctx, "tcp", address)
	if err == nil {
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err != nil {
		return source.Explain(err)
	}
	return nil
}

func TestConfig_FollowsRenewedFiles(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	oldCA, newCA := testenv.NewAuthority(t, later), testenv.NewAuthority(t, later)
	oldPair, newPair := oldCA.Issue(t, later), newCA.Issue(t, later)
	dir := t.TempDir()
	files := clienttls.Files{CA: dir + "/ca", Cert: dir + "/cert", Key: dir + "/key", Setting: setting}
	write(t, files.CA, read(t, oldCA.File))
	write(t, files.Cert, read(t, oldPair.Cert))
	write(t, files.Key, read(t, oldPair.Key))
	source, err := clienttls.New(files)
	if err != nil {
		t.Fatal(err)
	}
	before := tlsServer(t, oldCA, oldCA.Issue(t, later, "127.0.0.1"), 0)
	after := tlsServer(t, newCA, newCA.Issue(t, later, "127.0.0.1"), 0)
	if err := greet(t, source, before); err != nil {
		t.Fatal(err)
	}
	if err := greet(t, source, after); err == nil || !strings.Contains(err.Error(), "no CA in "+setting+"CA "+files.CA) {
		t.Errorf("another CA: %v", err)
	}
	write(t, files.Cert, read(t, newPair.Cert)) // the key not yet
	if err := greet(t, source, before); err != nil {
		t.Errorf("between the renewals of certificate and key: %v", err)
	}
	if err := greet(t, source, after); err == nil || !strings.Contains(err.Error(), "older ones, because "+setting+"KEY") {
		t.Errorf("an error does not say that the files cannot be used: %v", err)
	}
	write(t, files.Key, read(t, newPair.Key))
	write(t, files.CA, read(t, newCA.File))
	if err := greet(t, source, after); err != nil {
		t.Errorf("renewed files: %v", err)
	}
	if err := greet(t, source, before); err == nil {
		t.Error("the former CA is still trusted")
	}
}

func TestConfig_Verifies(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	ca := testenv.NewAuthority(t, later)
	pair := ca.Issue(t, later)
	source := func(files clienttls.Files) *clienttls.Source {
		t.Helper()
		files.Setting = setting
		s, err := clienttls.New(files)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all := clienttls.Files{CA: ca.File, Cert: pair.Cert, Key: pair.Key}
	own := ca.Issue(t, later, "127.0.0.1")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("+PONG\r\n"))
			conn.Close()
		}
	}()
	for name, test := range map[string]struct {
		files   clienttls.Files
		address string
		want    string // of the error; empty: it connects
	}{
		"all right":             {all, tlsServer(t, ca, own, 0), ""},
		"TLS 1.2":               {all, tlsServer(t, ca, own, tls.VersionTLS12), ""},
		"TLS 1.1":               {all, tlsServer(t, ca, own, tls.VersionTLS11), "protocol version"},
		"another host":          {all, tlsServer(t, ca, ca.Issue(t, later, "db.example"), 0), "127.0.0.1"},
		"expired":               {all, tlsServer(t, ca, ca.Issue(t, time.Now().Add(-time.Minute), "127.0.0.1"), 0), "expired"},
		"the system's CAs":      {clienttls.Files{}, tlsServer(t, ca, own, 0), "set " + setting + "CA"},
		"no client certificate": {clienttls.Files{CA: ca.File}, tlsServer(t, ca, own, 0), "see " + setting + "CERT and " + setting + "KEY"},
		"no TLS":                {all, plain.Addr().String(), "does not speak TLS"},
	} {
		err := greet(t, source(test.files), test.address)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if _, ok := errors.AsType[*clienttls.ConnectError](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want a ConnectError that says %q", name, err, test.want)
		}
	}
	stranger := testenv.NewAuthority(t, later).Issue(t, later)
	err = greet(t, source(clienttls.Files{CA: ca.File, Cert: stranger.Cert, Key: stranger.Key}), tlsServer(t, ca, own, 0))
	if err == nil || !strings.Contains(err.Error(), "refuses the client certificate in "+setting+"CERT "+stranger.Cert) {
		t.Errorf("a client certificate of another CA: %v", err)
	}
}
