package clientaddr

import "net/netip"

// networkBits is the length of the prefix that a provider assigns to one IPv6 customer.
const networkBits = 64

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
