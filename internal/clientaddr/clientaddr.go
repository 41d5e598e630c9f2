// Package clientaddr finds a request's client address. It believes forwarding headers only from
// trusted proxies.
package clientaddr

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Resolver knows the trusted proxies.
type Resolver struct{ trusted []netip.Prefix }

// New returns a Resolver that believes the X-Forwarded-* headers of peers in these networks.
func New(trusted []netip.Prefix) *Resolver { return &Resolver{trusted: trusted} }

// Address returns the client's address: the peer's, or, if the peer is a trusted proxy, the last
// address in X-Forwarded-For that is not a trusted proxy's.
func (r *Resolver) Address(req *http.Request) string {
	peer := peerOf(req)
	if !r.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		peer = canonical(address)
		if !r.trusts(peer) {
			break
		}
	}
	return peer
}

// parseHop parses an element of X-Forwarded-For: an address, or one with a port, as Azure's gateways
// write it (192.0.2.1:80, [2001:db8::1]:80).
func parseHop(text string) (netip.Addr, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return address, nil
	}
	withPort, err := netip.ParseAddrPort(text)
	return withPort.Addr(), err
}

// Secure reports whether the client's connection is encrypted: here, or at a trusted proxy
// according to its headers.
func (r *Resolver) Secure(req *http.Request) bool {
	return req.TLS != nil ||
		strings.EqualFold(req.Header.Get("X-Forwarded-Proto"), "https") && r.trusts(peerOf(req))
}

// Ignored returns the name of a header in which a proxy that is not trusted names its client, and
// the proxy's address. It returns "" if req has no such header.
func (r *Resolver) Ignored(req *http.Request) (header, peer string) {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} {
		if len(req.Header[name]) > 0 {
			if peer = peerOf(req); !r.trusts(peer) {
				return name, peer
			}
			break
		}
	}
	return "", ""
}

func (r *Resolver) trusts(address string) bool {
	addr, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(r.trusted, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

func peerOf(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return canonical(addr)
	}
	return host
}

// canonical returns the one form in which an address is compared, counted and logged. It omits the
// zone, which has a meaning on one machine only and in a header may be any text.
func canonical(addr netip.Addr) string { return addr.Unmap().WithZone("").String() }
