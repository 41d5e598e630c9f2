package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/clienttls"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// TestOpenWith_TLS connects to a server that accepts TLS with a client certificate only.
func TestOpenWith_TLS(t *testing.T) {
	later := time.Now().Add(12 * time.Hour)
	ca, stranger := testenv.NewAuthority(t, later), testenv.NewAuthority(t, later)
	server, port := testenv.TLSRedis(t, ca, ca.Issue(t, later, "localhost"))
	url := func(host string) string { return fmt.Sprintf("rediss://%s:%d", host, port) }
	pair, foreign := ca.Issue(t, later), stranger.Issue(t, later)
	good := clienttls.Files{CA: ca.File, Cert: pair.Cert, Key: pair.Key, Setting: "ROLLCALL_REDIS_TLS_"}

	client, err := redis.OpenWith(url("localhost"), redis.Options{TLS: good})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Writable(t.Context()); err != nil {
		t.Error(err)
	}

	several, err := redis.OpenWith(fmt.Sprintf("rediss://127.0.0.1:1,localhost:%d", port), redis.Options{TLS: good})
	if err != nil {
		t.Fatal(err)
	}
	defer several.Close()
	if err := several.Writable(t.Context()); err != nil {
		t.Error(err)
	}

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
		"no TLS":                {fmt.Sprintf("redis://localhost:%d", port), clienttls.Files{}, "cannot reach Redis"},
		"no client certificate": {url("localhost"), files(func(f *clienttls.Files) { f.Cert, f.Key = "", "" }), "client certificate, see ROLLCALL_REDIS_TLS_CERT and ROLLCALL_REDIS_TLS_KEY"},
		"a foreign certificate": {url("localhost"), files(func(f *clienttls.Files) { f.Cert, f.Key = foreign.Cert, foreign.Key }), "the client certificate in ROLLCALL_REDIS_TLS_CERT"},
		"another CA":            {url("localhost"), files(func(f *clienttls.Files) { f.CA = stranger.File }), "no CA in ROLLCALL_REDIS_TLS_CA"},
		"the system's CAs":      {url("localhost"), files(func(f *clienttls.Files) { f.CA = "" }), "set ROLLCALL_REDIS_TLS_CA"},
		"another host name":     {url("127.0.0.1"), good, "127.0.0.1"},
		"files without TLS":     {server.URL(), good, "ROLLCALL_REDIS_TLS_CERT is set, but the connection does not use TLS: write rediss://"},
		"a server without TLS":  {strings.Replace(server.URL(), "redis:", "rediss:", 1), clienttls.Files{}, "write redis:// instead of rediss://"},
		"several servers":       {fmt.Sprintf("rediss://localhost:1,localhost:%d", port), files(func(f *clienttls.Files) { f.Cert, f.Key = "", "" }), "client certificate, see ROLLCALL_REDIS_TLS_CERT and ROLLCALL_REDIS_TLS_KEY"},
		"Sentinels":             {url("localhost") + "?master_name=main", files(func(f *clienttls.Files) { f.CA = stranger.File }), "no CA in ROLLCALL_REDIS_TLS_CA"},
		"half a pair":           {url("localhost"), files(func(f *clienttls.Files) { f.Cert = "" }), "without ROLLCALL_REDIS_TLS_CERT"},
	} {
		client, err := redis.OpenWith(test.url, redis.Options{TLS: test.files})
		// A loaded machine may need longer for a handshake than a connection may take.
		for deadline := time.Now().Add(30 * time.Second); errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), test.want) && time.Now().Before(deadline); {
			client, err = redis.OpenWith(test.url, redis.Options{TLS: test.files})
		}
		if err == nil {
			client.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want it to say %q", what, err, test.want)
		}
	}
}

// TestCheckURL_SilentlyPlain: a URL that seems to request TLS, or none, is not ignored.
func TestCheckURL_SilentlyPlain(t *testing.T) {
	for url, want := range map[string]string{
		"rediss://localhost?skip_verify":                       "skip_verify",
		"rediss://localhost?skip_verify=false":                 "skip_verify",
		"redis://localhost?tls=true":                           "rediss://",
		"redis://localhost?addr=b:6379":                        "has an unknown parameter",
		"redis://localhost?master_set=main":                    "has an unknown parameter",
		"redis://localhost/1?protocol=2&client_name=a&tls=yes": "rediss://",
	} {
		if err := redis.CheckURL(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := redis.CheckURL("redis://localhost?protocol=2&client_name=a&db=1"); err != nil {
		t.Error(err)
	}
}
