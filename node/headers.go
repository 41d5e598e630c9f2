package node

import "net/http"

// The values of the headers of all responses, in the form of http.Header.
var (
	noSniff = []string{"nosniff"}
	// strictTransport makes browsers use only HTTPS for the next 180 days. It leaves out subdomains,
	// which may be other services.
	strictTransport = []string{"max-age=15552000"}
)

// withHeaders sets the headers of all responses of next: nosniff, and HSTS if secure reports that the
// client uses TLS. Browsers ignore HSTS over plain HTTP.
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
