package node

import "net/http"

// The values of the headers that all responses have, as http.Header holds them.
var (
	noSniff = []string{"nosniff"}
	// strictTransport has browsers use HTTPS alone for the next 180 days. It does not include
	// subdomains, which may be other services.
	strictTransport = []string{"max-age=15552000"}
)

// withHeaders sets the headers that the responses of all handlers have: nosniff, and HSTS where
// secure reports that the client uses TLS. Browsers ignore HSTS that comes over plain HTTP.
func withHeaders(next http.Handler, secure func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = noSniff
		if secure(r) {
			h["Strict-Transport-Security"] = strictTransport
		}
		next.ServeHTTP(w, r)
	})
}
