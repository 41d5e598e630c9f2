package clientaddr

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	r := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"direct":                       {"192.0.2.1:5", nil, "192.0.2.1"},
		"a stranger's header":          {"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"},
		"one proxy":                    {"10.1.1.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		"a client that lies":           {"10.1.1.1:5", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		"two proxies":                  {"10.1.1.1:5", []string{"198.51.100.7, 10.2.2.2"}, "198.51.100.7"},
		"two headers":                  {"10.1.1.1:5", []string{"198.51.100.7", "10.2.2.2"}, "198.51.100.7"},
		"nonsense":                     {"10.1.1.1:5", []string{"unknown"}, "10.1.1.1"},
		"an address with a port":       {"10.1.1.1:5", []string{"203.0.113.9:1, 198.51.100.7:55"}, "198.51.100.7"},
		"IPv6 with a port":             {"10.1.1.1:5", []string{"[2001:db8::1]:55"}, "2001:db8::1"},
		"a proxy with a port":          {"10.1.1.1:5", []string{"198.51.100.7:55, 10.2.2.2:443"}, "198.51.100.7"},
		"a port that is none":          {"10.1.1.1:5", []string{"198.51.100.7:http"}, "10.1.1.1"},
		"no header":                    {"10.1.1.1:5", nil, "10.1.1.1"},
		"IPv6":                         {"[::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 written as IPv6":         {"[::ffff:10.1.1.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"only proxies, the first wins": {"10.1.1.1:5", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
	} {
		req := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := r.Address(req); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSecure(t *testing.T) {
	r := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	https := http.Header{"X-Forwarded-Proto": {"https"}}
	for name, c := range map[string]struct {
		req  *http.Request
		want bool
	}{
		"plain":      {&http.Request{RemoteAddr: "10.1.1.1:5"}, false},
		"TLS here":   {&http.Request{RemoteAddr: "192.0.2.1:5", TLS: &tls.ConnectionState{}}, true},
		"a proxy":    {&http.Request{RemoteAddr: "10.1.1.1:5", Header: https}, true},
		"a stranger": {&http.Request{RemoteAddr: "192.0.2.1:5", Header: https}, false},
	} {
		if got := r.Secure(c.req); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8::1":          "2001:db8::/64",
		"2001:db8::ffff:0:0:1": "2001:db8::/64",
		"2001:db8:0:1::1":      "2001:db8:0:1::/64",
		"fe80::1%eth0":         "fe80::/64",
		"":                     "",
		"@":                    "@",
	} {
		if got := Network(address); got != want {
			t.Errorf("Network(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestIgnored(t *testing.T) {
	r := New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for name, c := range map[string]struct {
		peer, header string
		want         string
	}{
		"no header":        {"192.0.2.1:5", "", ""},
		"a stranger":       {"192.0.2.1:5", "X-Forwarded-For", "X-Forwarded-For 192.0.2.1"},
		"a protocol alone": {"[::ffff:192.0.2.1]:5", "X-Forwarded-Proto", "X-Forwarded-Proto 192.0.2.1"},
		"a trusted proxy":  {"10.1.1.1:5", "X-Forwarded-For", ""},
		"another header":   {"192.0.2.1:5", "X-Real-Ip", ""},
	} {
		req := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.header != "" {
			req.Header.Set(c.header, "")
		}
		header, peer := r.Ignored(req)
		if got := strings.TrimSpace(header + " " + peer); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSite(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":          "192.0.2.0/24",
		"::ffff:192.0.2.255": "192.0.2.0/24",
		"192.0.3.1":          "192.0.3.0/24",
		"2001:db8::1":        "2001:db8::/48",
		"2001:db8:0:ffff::1": "2001:db8::/48",
		"2001:db8:1::1%eth0": "2001:db8:1::/48",
		"":                   "",
		"@":                  "@",
	} {
		if got := Site(address); got != want {
			t.Errorf("Site(%q) = %q, want %q", address, got, want)
		}
	}
}
