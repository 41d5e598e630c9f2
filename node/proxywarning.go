package node

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"rollcall/internal/clientaddr"
)

// proxyWarning logs once that a proxy's header is ignored because the proxy is not trusted: all of its
// clients then count as one address.
type proxyWarning struct {
	addresses *clientaddr.Resolver
	log       *slog.Logger
	warned    atomic.Bool
}

// around returns a handler that checks the headers of each request and calls next.
func (p *proxyWarning) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.warned.Load() {
			if header, peer := p.addresses.Ignored(r); header != "" && !p.warned.Swap(true) {
				p.log.Warn("a header of an undeclared proxy is ignored; if the address is that of a proxy of yours, declare it",
					"header", header, "address", peer, "setting", "ROLLCALL_TRUSTED_PROXIES")
			}
		}
		next.ServeHTTP(w, r)
	})
}
