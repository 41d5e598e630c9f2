package clientaddr

import "net/netip"

const (
	// networkBits is the length of the prefix of one link, from which a client chooses its IPv6
	// addresses.
	networkBits = 64
	// siteBits are the lengths of the prefixes that one customer may have: as in RFC 6177 for IPv6,
	// and the longest that is routed for IPv4.
	siteBits6, siteBits4 = 48, 24
)

// Network returns the network that counts as one client in limits: an IPv4 address, or the /64 of
// an IPv6 address. Any other text is returned as it is.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), networkBits).Masked().String()
}

// Site returns the prefix that one customer of a provider may have: the /24 of an IPv4 address, or
// the /48 of an IPv6 address. Any other text is returned as it is.
func Site(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return netip.PrefixFrom(ip, siteBits4).Masked().String()
	}
	return netip.PrefixFrom(ip.WithZone(""), siteBits6).Masked().String()
}
