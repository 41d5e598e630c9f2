package servertls_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/clienttls"
	"rollcall/internal/servertls"
	"rollcall/internal/testenv"
)

// serial returns the serial number of the certificate that is served to new connections.
func serial(t *testing.T, s *servertls.Source) string {
	t.Helper()
	pair, err := s.Config().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

// gauges returns the values of the metrics by name.
func gauges(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		values[strings.TrimPrefix(f.GetName(), "rollcall_tls_certificate_")] = f.GetMetric()[0].GetGauge().GetValue()
	}
	return values
}

// TestRun_FollowsTheFiles changes the files while Run reads them. A pair that cannot be used changes
// nothing, and is logged once.
func TestRun_FollowsTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ca := testenv.NewAuthority(t, start.Add(40*time.Hour))
		first, second := ca.Issue(t, start.Add(12*time.Hour)), ca.Issue(t, start.Add(18*time.Hour))
		dir := t.TempDir()
		files := clienttls.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), Setting: "ROLLCALL_TLS_"}
		testenv.CopyFile(t, files.Cert, first.Cert)
		testenv.CopyFile(t, files.Key, first.Key)
		var log testenv.Log
		s, err := servertls.Open(files, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		s.Observe(registry)
		go s.Run(t.Context())
		one := serial(t, s)
		for _, step := range []struct {
			name    string
			change  func()
			renewed bool // since the beginning
			expires time.Duration
			problem string
			logs    string
		}{
			{"nothing", func() {}, false, 12 * time.Hour, "", ""},
			{"the certificate alone", func() { testenv.CopyFile(t, files.Cert, second.Cert) }, false, 12 * time.Hour, "does not match", "level=ERROR"},
			{"a time later", func() { time.Sleep(time.Minute) }, false, 12 * time.Hour, "still", ""},
			{"no key", func() { _ = os.Remove(files.Key) }, false, 12 * time.Hour, "ROLLCALL_TLS_KEY cannot be read", "level=ERROR"},
			{"the key too", func() { testenv.CopyFile(t, files.Key, second.Key) }, true, 18 * time.Hour, "", "renewed=true"},
			{"no certificate", func() { testenv.CopyFile(t, files.Cert, second.Key) }, true, 18 * time.Hour, "no certificate in PEM form", "level=ERROR"},
			{"the same again", func() { testenv.CopyFile(t, files.Cert, second.Cert) }, true, 18 * time.Hour, "", "renewed=false"},
			{"an older pair that has expired", func() {
				time.Sleep(13 * time.Hour)
				testenv.CopyFile(t, files.Cert, first.Cert)
				testenv.CopyFile(t, files.Key, first.Key)
			}, true, 18 * time.Hour, "expired on", "level=ERROR"},
		} {
			before := len(log.String())
			step.change()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if renewed := serial(t, s) != one; renewed != step.renewed {
				t.Errorf("%s: renewed %t", step.name, renewed)
			}
			m := gauges(t, registry)
			if stale := m["stale"] == 1; stale != (step.problem != "") {
				t.Errorf("%s: stale %t", step.name, stale)
			}
			if want := start.Add(step.expires).Unix(); int64(m["expires_timestamp_seconds"]) != want {
				t.Errorf("%s: expires at %f, want %d", step.name, m["expires_timestamp_seconds"], want)
			}
			text := log.String()[before:]
			if step.logs == "" && text != "" || strings.Count(text, "\n") > 1 || !strings.Contains(text, step.logs) {
				t.Errorf("%s: the log is %q, want one line with %q", step.name, text, step.logs)
			}
			if step.problem != "still" && !strings.Contains(text, step.problem) {
				t.Errorf("%s: the log is %q, want %q", step.name, text, step.problem)
			}
		}
	})
}

func TestOpen_RefusesWhatCannotBeServed(t *testing.T) {
	later, past := time.Now().Add(12*time.Hour), time.Now().Add(-time.Hour)
	ca := testenv.NewAuthority(t, later)
	pair, expired := ca.Issue(t, later), ca.Issue(t, past)
	for name, test := range map[string]struct {
		files clienttls.Files
		want  string
	}{
		"no key":  {clienttls.Files{Cert: pair.Cert}, "ROLLCALL_TLS_CERT is set without ROLLCALL_TLS_KEY"},
		"no cert": {clienttls.Files{Key: pair.Key}, "ROLLCALL_TLS_KEY is set without ROLLCALL_TLS_CERT"},
		"expired": {clienttls.Files{Cert: expired.Cert, Key: expired.Key}, "ROLLCALL_TLS_CERT file " + expired.Cert + " has a certificate that expired on"},
	} {
		test.files.Setting = "ROLLCALL_TLS_"
		_, err := servertls.Open(test.files, slog.New(slog.DiscardHandler))
		if wrong, ok := errors.AsType[*clienttls.Error](err); !ok || !strings.HasPrefix(wrong.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}
