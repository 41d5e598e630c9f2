// Package servertls has the certificate with which this process serves TLS, from files that may be
// renewed while it runs.
package servertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/clienttls"
)

// checkInterval is the time between two looks for a renewed certificate.
const checkInterval = 2 * time.Second

// Source has a certificate and follows its files. Its methods may be called from any goroutine.
type Source struct {
	files clienttls.Files
	log   *slog.Logger
	pair  atomic.Pointer[tls.Certificate]
	// stale is set while the files cannot be used, and a former certificate is served.
	stale atomic.Bool
	// problem is why, and "" if they can be used. Only Run uses it.
	problem string
}

// Open reads the certificate and its key. It returns a *clienttls.Error if they cannot be used.
func Open(files clienttls.Files, log *slog.Logger) (*Source, error) {
	s := &Source{files: files, log: log}
	pair, err := files.Pair(time.Now())
	if err != nil {
		return nil, err
	}
	s.pair.Store(pair)
	return s, nil
}

// Config returns the configuration of a server: TLS 1.2 and later, and the newest certificate for each
// new connection.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.Load(), nil },
	}
}

// Observe registers the metrics.
func (s *Source) Observe(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_tls_certificate_expires_timestamp_seconds", Help: "When the certificate that is served expires, in seconds since 1970.",
	}, func() float64 {
		return float64(s.pair.Load().Leaf.NotAfter.Unix())
	}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_tls_certificate_stale", Help: "Whether a former certificate is served because the files cannot be used: 1 or 0.",
	}, func() float64 {
		if s.stale.Load() {
			return 1
		}
		return 0
	}))
}

// Run reads the files every 2 s and serves what they hold, until ctx ends. While they cannot be
// used, such as between the renewals of a certificate and of its key, the former certificate is served.
func (s *Source) Run(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.reload(ctx)
		}
	}
}

func (s *Source) reload(ctx context.Context) {
	pair, err := s.files.Pair(time.Now())
	s.stale.Store(err != nil)
	if err != nil {
		if err.Error() != s.problem {
			s.problem = err.Error()
			s.log.ErrorContext(ctx, "the certificate is not read again; the former one is served",
				"error", err, "expires", s.pair.Load().Leaf.NotAfter.UTC())
		}
		return
	}
	recovered := s.problem != ""
	s.problem = ""
	// An equal certificate has the same key.
	renewed := !slices.EqualFunc(pair.Certificate, s.pair.Load().Certificate, bytes.Equal)
	if renewed {
		s.pair.Store(pair)
	}
	if renewed || recovered {
		s.log.InfoContext(ctx, "the certificate was read again", "renewed", renewed, "expires", pair.Leaf.NotAfter.UTC())
	}
}
