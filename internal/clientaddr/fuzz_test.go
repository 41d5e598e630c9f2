package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwardedFor sends X-Forwarded-For headers. A stranger's header changes nothing. Behind a
// trusted proxy the client's address is always one from the header or the proxy's, in canonical
// form.
func FuzzForwardedFor(f *testing.F) {
	f.Add("198.51.100.7, 10.2.2.2", "203.0.113.9")
	f.Add("2001:DB8:0::1", "::ffff:198.51.100.7")
	f.Add("fe80::1%eth0", "10.1.1.1%x")
	f.Add("unknown", "198.51.100.7:80")
	f.Add("[2001:db8::1]:80", "[fe80::1%x]:1, 10.2.2.2:443")
	f.Add("198.51.100.7:x", "[198.51.100.7]:80")
	f.Add("2001:db8::1%<b>", "10.2.2.2")
	f.Add("0", "[::%]]:1, 10.2.2.2")
	f.Add(",,", " ")
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	r := New([]netip.Prefix{trusted})
	f.Fuzz(func(t *testing.T, first, second string) {
		header := http.Header{"X-Forwarded-For": {first, second}}
		if got := r.Address(&http.Request{RemoteAddr: "192.0.2.1:5", Header: header}); got != "192.0.2.1" {
			t.Errorf("%q of a stranger: %q", header, got)
		}
		got := r.Address(&http.Request{RemoteAddr: "10.1.1.1:5", Header: header})
		address, err := netip.ParseAddr(got)
		if err != nil || address.Unmap().WithZone("").String() != got {
			t.Fatalf("%q: the address %q, %v", header, got, err)
		}
		if got == "10.1.1.1" {
			return
		}
		hops := strings.Split(first+","+second, ",")
		for i := len(hops) - 1; i >= 0; i-- {
			text := strings.TrimSpace(hops[i])
			hop, err := netip.ParseAddr(text)
			if port := strings.LastIndexByte(text, ':'); err != nil && port >= 0 {
				hop, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text[:port], "["), "]"))
			}
			if err != nil {
				t.Fatalf("%q: %q is behind %q", header, got, hops[i])
			}
			if hop = hop.Unmap().WithZone(""); hop == address {
				return
			}
			if !trusted.Contains(hop) {
				t.Fatalf("%q: %q is behind the stranger %s", header, got, hop)
			}
		}
		t.Errorf("%q: %q is not in it", header, got)
	})
}
