// Package clienttls makes the TLS configurations by which this process connects to its servers,
// from files that may be renewed while it runs.
//
// Every configuration requires TLS 1.2, verifies the server's certificate and checks its name.
package clienttls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Files names the PEM files for the connections to one server. Each may be empty.
type Files struct {
	// CA has the certificates of the CAs that may have signed the server's; empty: the system's.
	CA string
	// Cert has the certificate of this process, and those between it and its CA. Key has its private
	// key.
	Cert, Key string
	// Setting is what the names of the settings begin with, such as "ROLLCALL_REDIS_TLS_". Errors
	// name them.
	Setting string
}

// Error is a mistake in the settings or their files. It names both.
type Error struct{ problem string }

func (e *Error) Error() string { return e.problem }

// errorf returns an *Error about the setting NAME, which is CA, CERT or KEY.
func (f Files) errorf(name, format string, args ...any) error {
	return &Error{f.Setting + name + " " + fmt.Sprintf(format, args...)}
}

// CheckUnused returns an *Error if a file is named although the connections do not use TLS. fix says
// how to make them use it.
func (f Files) CheckUnused(fix string) error {
	name := "CA"
	switch {
	case f == Files{Setting: f.Setting}:
		return nil
	case f.Cert != "":
		name = "CERT"
	case f.Key != "":
		name = "KEY"
	}
	return f.errorf(name, "is set, but the connection does not use TLS: %s", fix)
}

// Source returns TLS configurations. Its methods may be called from any goroutine.
type Source struct {
	files Files

	mu      sync.Mutex
	content content     // of the files when config was made
	config  *tls.Config // never changed; copied for each connection
	// stale is why the present files are not in use, nil if they are.
	stale error
}

// content is what the files hold.
type content struct{ ca, cert, key []byte }

// New reads the files. It returns an *Error if they cannot be used.
func New(files Files) (*Source, error) {
	s := &Source{files: files}
	c, err := files.read()
	if err == nil {
		s.config, err = files.parse(c, time.Now())
	}
	if err != nil {
		return nil, err
	}
	s.content = c
	return s, nil
}

// Config returns the configuration for a connection to the host, which may be an IP address. It reads
// the files again; while they cannot be used, such as between the renewals of a certificate and of
// its key, the former ones stay in use.
func (s *Source) Config(host string) *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = s.reload()
	config := s.config.Clone()
	config.ServerName = host
	return config
}

// reload puts the files into use if they have changed.
func (s *Source) reload() error {
	c, err := s.files.read()
	if err != nil {
		return err
	}
	if bytes.Equal(c.ca, s.content.ca) && bytes.Equal(c.cert, s.content.cert) && bytes.Equal(c.key, s.content.key) {
		return nil
	}
	config, err := s.files.parse(c, time.Now())
	if err != nil {
		return err
	}
	s.content, s.config = c, config
	return nil
}

// read returns what the files hold, and an *Error if the pair is not whole or a file cannot be read.
func (f Files) read() (c content, err error) {
	switch {
	case f.Cert != "" && f.Key == "":
		return c, f.errorf("CERT", "is set without %sKEY, the private key of the certificate", f.Setting)
	case f.Key != "" && f.Cert == "":
		return c, f.errorf("KEY", "is set without %sCERT, the certificate of the key", f.Setting)
	}
	for _, file := range []struct {
		name, path string
		to         *[]byte
	}{{"CA", f.CA, &c.ca}, {"CERT", f.Cert, &c.cert}, {"KEY", f.Key, &c.key}} {
		if file.path == "" {
			continue
		}
		if *file.to, err = os.ReadFile(file.path); err != nil {
			return c, f.errorf(file.name, "cannot be read: %v", err)
		}
	}
	return c, nil
}

// parse returns the configuration from the files. It returns an *Error if they cannot be used now.
func (f Files) parse(c content, now time.Time) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		cas, err := f.certificates("CA", f.CA, c.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		var last time.Time
		for _, ca := range cas {
			config.RootCAs.AddCert(ca)
			if ca.NotAfter.After(last) {
				last = ca.NotAfter
			}
		}
		if now.After(last) {
			return nil, f.errorf("CA", "file %s has no certificate that is still valid: the last one expired on %s", f.CA, date(last))
		}
	}
	if f.Cert != "" {
		pair, err := f.pair(c, now)
		if err != nil {
			return nil, err
		}
		// With Certificates instead, none would be sent to a server that names other CAs, and
		// its error would be that there is none.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return config, nil
}

// Pair reads the certificate and its key. It returns an *Error if only one of them is named, or if they
// cannot be used now.
func (f Files) Pair(now time.Time) (*tls.Certificate, error) {
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	return f.pair(c, now)
}

// pair returns the certificate with its key.
func (f Files) pair(c content, now time.Time) (*tls.Certificate, error) {
	chain, err := f.certificates("CERT", f.Cert, c.cert)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	switch {
	case now.After(leaf.NotAfter):
		return nil, f.errorf("CERT", "file %s has a certificate that expired on %s", f.Cert, date(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return nil, f.errorf("CERT", "file %s has a certificate that is not valid before %s", f.Cert, date(leaf.NotBefore))
	}
	switch key := keyBlock(c.key); {
	case key == nil:
		return nil, f.errorf("KEY", "file %s has no private key in PEM form", f.Key)
	case key.Type == "ENCRYPTED PRIVATE KEY" || key.Headers["DEK-Info"] != "":
		return nil, f.errorf("KEY", "file %s has a private key that is encrypted; it must not be", f.Key)
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, f.errorf("KEY", "file %s cannot be used with the certificate in %s: %v", f.Key, f.Cert, err)
	}
	return &pair, nil
}

// certificates returns the certificates in a file, at least one.
func (f Files) certificates(name, path string, text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, f.errorf(name, "file %s has a damaged certificate: %v", path, err)
		}
		found = append(found, cert)
	}
	if len(found) == 0 {
		return nil, f.errorf(name, "file %s has no certificate in PEM form", path)
	}
	return found, nil
}

// keyBlock returns the first private key, or nil.
func keyBlock(text []byte) *pem.Block {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block
		}
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ConnectError is why a connection that requires TLS did not come about.
type ConnectError struct {
	err  error
	hint string // what to do; may be empty
}

func (e *ConnectError) Error() string { return e.err.Error() + e.hint }

// Unwrap returns the error of the attempt.
func (e *ConnectError) Unwrap() error { return e.err }

// Explain returns the error of an attempt to connect: a *ConnectError that says what to do if err is of
// TLS, and err if it is not.
func (s *Source) Explain(err error) error {
	if _, ok := errors.AsType[*ConnectError](err); ok {
		return err
	}
	hint, ours := s.hint(err)
	if !ours {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale != nil {
		hint += fmt.Sprintf(" (the files in use are older ones, because %v)", s.stale)
	}
	return &ConnectError{err, hint}
}

// Closed returns the error of an attempt to connect that the server ended without a reason. Servers do
// that, too, if they refuse the client certificate.
func (s *Source) Closed(err error) error { return &ConnectError{err, s.closedHint()} }

func (s *Source) closedHint() string {
	if s.files.Cert == "" {
		return "; the server may require a client certificate, see " + s.files.Setting + "CERT and " + s.files.Setting + "KEY"
	}
	return "; the server may have refused the client certificate in " + s.files.Setting + "CERT " + s.files.Cert
}

// hint returns what to do about err, and whether it is an error of TLS.
func (s *Source) hint(err error) (hint string, ours bool) {
	f := s.files
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if f.CA == "" {
			return "; if a CA of your own has signed the server's certificate, set " + f.Setting + "CA", true
		}
		return "; no CA in " + f.Setting + "CA " + f.CA + " has signed the server's certificate", true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "", true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "; the server does not speak TLS there", true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return s.closedHint(), true
	}
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		if !strings.Contains(remote.Err.Error(), "certificate") && !strings.Contains(remote.Err.Error(), "unknown certificate authority") {
			return "", true
		}
		if f.Cert == "" {
			return "; the server requires a client certificate, see " + f.Setting + "CERT and " + f.Setting + "KEY", true
		}
		return "; the server refuses the client certificate in " + f.Setting + "CERT " + f.Cert, true
	}
	return "", false
}
