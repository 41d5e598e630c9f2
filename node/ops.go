package node

import (
	"io"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsRoutes returns what the operators' own address serves, which has the host names hosts.
func opsRoutes(metrics *prometheus.Registry, hosts []string) http.Handler {
	own := make([]string, len(hosts))
	for i, name := range hosts {
		own[i] = hostName(name)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", commandLine)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return refuseWebPages(mux, own)
}

// commandLine replaces pprof.Cmdline. It leaves out the arguments, which may hold passwords.
func commandLine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, os.Args[0])
}

// refuseWebPages protects an address that has no login from the pages that an operator visits.
// A page can point the name of its own host at this address (DNS rebinding), and then read the
// responses; so the Host must be an IP address, localhost, or one of hosts. A page of another site
// cannot read them, but it can start a profile; browsers mark such requests in Sec-Fetch-Site.
func refuseWebPages(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !isOwnHost(r.Host, hosts):
			http.Error(w, "This host name is not in ROLLCALL_OPS_HOSTS. Add it, or use an IP address.", http.StatusForbidden)
		case site != "" && site != "same-origin" && site != "none":
			http.Error(w, "Pages of other sites may not lead here. Enter the address by hand.", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isOwnHost reports whether a Host header names an IP address, localhost, or one of hosts.
func isOwnHost(header string, hosts []string) bool {
	host := hostName((&url.URL{Host: header}).Hostname())
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || slices.Contains(hosts, host)
}

// hostName returns a host name in the form in which names are compared.
func hostName(name string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
}
