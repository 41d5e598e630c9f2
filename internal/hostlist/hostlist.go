// Package hostlist reads URLs that name several hosts, separated by commas, which net/url does not
// accept: redis://user:password@one:6379,two:6379/0.
package hostlist

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Split returns the hosts of a URL, each with its port if it has one, and the same URL with the first
// host only. It checks nothing.
func Split(text string) (single string, hosts []string) {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	at := strings.LastIndex(authority, "@") + 1
	hosts = strings.Split(authority[at:], ",")
	return scheme + "://" + authority[:at] + hosts[0] + tail, hosts
}

// Join returns HOST:PORT for a host of a URL, whose port is defaultPort if it has none, and reports
// whether the host is valid.
func Join(host, defaultPort string) (address string, ok bool) {
	u, err := url.Parse("tcp://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && host[0] != '[' {
		return "", false
	}
	port := cmp.Or(u.Port(), defaultPort)
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", false
	}
	return net.JoinHostPort(u.Hostname(), port), true
}
