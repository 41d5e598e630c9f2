package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Authority is a CA of a test. Its files are removed when the test ends.
type Authority struct {
	// File is the PEM file with its certificate.
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair names the PEM files of a certificate and its private key.
type Pair struct{ Cert, Key string }

// CopyFile makes the file at to have the content of the other, as a renewal of a certificate does.
func CopyFile(tb testing.TB, to, from string) {
	tb.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// NewAuthority returns a CA whose certificate is valid until that time.
func NewAuthority(tb testing.TB, until time.Time) *Authority {
	tb.Helper()
	a := &Authority{dir: tb.TempDir()}
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA " + a.dir}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	a.key = newKey(tb)
	a.File = a.write(tb, "ca.pem", "CERTIFICATE", a.sign(tb, a.cert, a.key))
	return a
}

// Issue returns a certificate, for servers and clients, for these host names and IP addresses. It is
// valid until that time.
func (a *Authority) Issue(tb testing.TB, until time.Time, hosts ...string) Pair {
	tb.Helper()
	cert := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "test"},
		KeyUsage:  x509.KeyUsageDigitalSignature,
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	key := newKey(tb)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	name := rand.Text()
	return Pair{
		Cert: a.write(tb, name+"-cert.pem", "CERTIFICATE", a.sign(tb, cert, key)),
		Key:  a.write(tb, name+"-key.pem", "PRIVATE KEY", der),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// sign returns the certificate, signed by the CA.
func (a *Authority) sign(tb testing.TB, cert *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	cert.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func (a *Authority) write(tb testing.TB, name, kind string, der []byte) string {
	tb.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TLSMariaDB starts a MariaDB server that accepts TCP connections with TLS only, with that
// certificate, and accepts client certificates of the CA. It returns the server, which stops when
// the test ends, and its port on 127.0.0.1.
func TLSMariaDB(tb testing.TB, ca *Authority, pair Pair) (*MariaDB, int) {
	tb.Helper()
	NeedServer(tb)
	var err error
	for range portAttempts {
		var port int
		if port, err = freePort(); err != nil {
			break
		}
		var server *MariaDB
		server, err = StartMariaDB("--skip-networking=0", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(port),
			"--require-secure-transport=ON", "--ssl", "--ssl-ca="+ca.File, "--ssl-cert="+pair.Cert, "--ssl-key="+pair.Key)
		if err == nil {
			tb.Cleanup(server.Stop)
			return server, port
		}
	}
	tb.Fatal(err)
	return nil, 0
}

// TLSRedis starts a Redis server that accepts only connections with TLS and a client certificate of
// the CA, besides the plain port that the tests' own client uses. It returns the port on 127.0.0.1.
// The server stops when the test ends.
func TLSRedis(tb testing.TB, ca *Authority, pair Pair) (server *Redis, port int) {
	tb.Helper()
	NeedServer(tb)
	server, err := startOnFreePort(func(plain int) (started *Redis, err error) {
		if port, err = freePort(); err != nil {
			return nil, err
		}
		return StartRedisOn(plain, tlsArgs(ca, pair, port)...)
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Stop)
	return server, port
}

// tlsArgs returns the arguments of a server that accepts connections with TLS on that port.
func tlsArgs(ca *Authority, pair Pair, port int) []string {
	return []string{
		"--tls-port", strconv.Itoa(port), "--tls-auth-clients", "yes",
		"--tls-ca-cert-file", ca.File, "--tls-cert-file", pair.Cert, "--tls-key-file", pair.Key,
	}
}

// TLSRedisCluster is TLSRedis for a cluster of one master, which announces the host name localhost.
// Further arguments are those of redis-server.
func TLSRedisCluster(tb testing.TB, ca *Authority, pair Pair, args ...string) (c *RedisCluster, port int) {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	args = append(args, "--tls-cluster", "yes", "--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname")
	return NewRedisCluster(tb, 1, 0, append(args, tlsArgs(ca, pair, port)...)...), port
}
