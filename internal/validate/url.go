package validate

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxHostBytes and maxLabelBytes bound a host name and each of its labels (RFC 1035,
	// section 2.3.4).
	maxHostBytes  = 253
	maxLabelBytes = 63
)

// hostRunes are the characters of international host names, in addition to the ASCII ones. They
// include symbols because browsers accept them.
var hostRunes = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.So}

// IsHTTPURL reports whether text is an absolute http or https URL that programs can show and open
// without further care: with a host and, if it has a port, one of 1 to 65535; without user info,
// quotes, angle brackets, backslashes, white space, and control, format and other invisible
// characters. International host names and IP addresses are accepted, zones of addresses are not.
func IsHTTPURL(text string) bool {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, breaksURL) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil &&
		isHost(u) && isPort(u)
}

// breaksURL reports whether r could end or hide a part of a URL where it is shown or written into
// another text.
func breaksURL(r rune) bool {
	return strings.ContainsRune("\"'`<>\\", r) || unicode.IsSpace(r) || unicode.IsControl(r) ||
		unicode.In(r, unicode.Cf, unicode.Z) || unicode.In(r, undrawn...)
}

func isPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func isHost(u *url.URL) bool {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is6() && address.Zone() == ""
	}
	if !utf8.ValidString(host) {
		return false
	}
	// Resolvers compare names in this form, in which one character may become several.
	host = strings.TrimSuffix(norm.NFKC.String(host), ".")
	if host == "" || len(host) > maxHostBytes {
		return false
	}
	label := ""
	for label = range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > maxLabelBytes || strings.ContainsFunc(label, breaksHost) {
			return false
		}
	}
	if _, err := strconv.ParseUint(label, 10, 64); err == nil {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is4()
	}
	return true
}

// breaksHost reports whether r is not allowed in a label of a host name.
func breaksHost(r rune) bool {
	if r < utf8.RuneSelf {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	return breaksURL(r) || !unicode.In(r, hostRunes...) || r == utf8.RuneError
}
