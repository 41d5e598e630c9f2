package node

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/graph"
	"rollcall/management"
)

// route sets what the three listeners serve.
func (n *Node) route(pages, api http.Handler, metrics *prometheus.Registry) {
	withConsole := n.routes(pages, api)
	public := withConsole
	if n.cfg.ConsoleApart {
		public = n.routes(nil, nil)
	}
	addresses := n.cfg.Addresses
	proxies := &proxyWarning{addresses: addresses, log: n.cfg.Logger}
	tracer := n.cfg.Tracer
	n.Public = tracer.Handler(withHeaders(proxies.around(public), addresses.Secure))
	n.Console = tracer.Handler(withHeaders(proxies.around(withConsole), addresses.Secure))
	n.Ops = withHeaders(opsRoutes(metrics, n.cfg.OpsHosts), addresses.Secure)
}

// routes returns what the public address serves, without the console and the management API
// if they are nil.
func (n *Node) routes(pages, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/graphql", n.GraphQL)
	if n.cfg.Introspection {
		mux.Handle("GET /graphql/schema.graphql", http.HandlerFunc(schemaText))
	}
	mux.HandleFunc("GET /healthz", n.health.alive)
	mux.HandleFunc("GET /readyz", n.health.ready)
	if pages != nil {
		mux.Handle("/console/", pages)
		mux.Handle(management.Path, api)
		mux.Handle("GET /{$}", http.RedirectHandler("/console/", http.StatusFound))
	}
	return mux
}

// schemaText serves the schema with all its descriptions.
func schemaText(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/graphql; charset=utf-8")
	_, _ = io.WriteString(w, graph.SDL())
}
