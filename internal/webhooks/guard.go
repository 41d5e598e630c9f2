package webhooks

import (
	"fmt"
	"net/netip"
	"syscall"
)

// reserved are the networks that a server on the Internet does not have, besides those that netip
// knows: "this network" (RFC 791), carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890),
// documentation (RFC 5737, 3849), benchmarks (RFC 2544), the reserved class E (RFC 1112), and the
// IPv6 networks that translate to IPv4: the former IPv4-compatible addresses (RFC 4291), SIIT (RFC
// 2765), 6to4 (RFC 3056), Teredo (RFC 4380) and NAT64 (RFC 6052, 8215); discarded
// packets (RFC 6666) and the former site-local addresses (RFC 3879).
var reserved = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "2001:db8::/32", "100::/64", "fec0::/10",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// isPublic reports whether a server on the Internet can have the address: it is not loopback,
// private, link-local (as the metadata services of clouds), multicast or reserved.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return false
	}
	for _, network := range reserved {
		if network.Contains(address) {
			return false
		}
	}
	return true
}

// refusePrivate is the Control of a net.Dialer. It is called with the address that is connected to,
// after the name was resolved, so no second resolution can return another one.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q is not known: %w", address, err)
	}
	if !isPublic(to.Addr()) {
		return fmt.Errorf("the address %s is not public", to.Addr())
	}
	return nil
}
