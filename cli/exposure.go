package cli

import (
	"log/slog"
	"net"
	"net/netip"
)

// carrierNetwork is shared by the customers of a provider (RFC 6598) and not routed on the Internet.
var carrierNetwork = netip.MustParsePrefix("100.64.0.0/10")

// isPublic reports whether the Internet can route to the address.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrierNetwork.Contains(ip)
}

// publicAddress returns the public address on which a listener accepts connections. If it accepts
// them on all addresses, it returns the first public one of the machine. interfaces is
// net.InterfaceAddrs outside tests.
func publicAddress(listening net.Addr, interfaces func() ([]net.Addr, error)) (ip netip.Addr, public bool) {
	own, ok := addressOf(listening)
	if !ok || !own.IsUnspecified() {
		return own, ok && isPublic(own)
	}
	all, err := interfaces()
	if err != nil {
		return own, false // the addresses are unknown
	}
	for _, addr := range all {
		// The unspecified IPv4 address does not accept IPv6.
		if ip, ok := addressOf(addr); ok && isPublic(ip) && (own.Is6() || ip.Is4()) {
			return ip, true
		}
	}
	return own, false
}

// addressOf returns the IP address of a listener or an interface.
func addressOf(addr net.Addr) (netip.Addr, bool) {
	var ip net.IP
	switch addr := addr.(type) {
	case *net.TCPAddr:
		ip = addr.IP
	case *net.IPNet:
		ip = addr.IP
	}
	out, ok := netip.AddrFromSlice(ip)
	return out.Unmap(), ok
}

// warnOfPlainHTTP logs a warning if the address of setting can be reached from the Internet without
// TLS.
func warnOfPlainHTTP(log *slog.Logger, setting string, l net.Listener) {
	if ip, public := publicAddress(l.Addr(), net.InterfaceAddrs); public {
		log.Warn("plain HTTP is served on a public address, so passwords and tokens can be read on the way; "+
			"set ROLLCALL_TLS_CERT and ROLLCALL_TLS_KEY, or listen on a private address, behind a proxy with TLS", "setting", setting, "address", ip.String())
	}
}

// warnOfPublicOps logs a warning if the operators' own address can be reached from the Internet.
func warnOfPublicOps(log *slog.Logger, l net.Listener) {
	if ip, public := publicAddress(l.Addr(), net.InterfaceAddrs); public {
		log.Warn("metrics and profiles are served without a login on a public address; listen on a private one",
			"setting", "ROLLCALL_OPS_LISTEN", "address", ip.String())
	}
}
