package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall/internal/validate"
)

// origins decides which web pages may call: pages of the server's own host and of the listed
// origins. It applies to CORS and to the WebSocket's Origin header alike. A caller that is not a
// browser sends no Origin and is always allowed.
type origins []string

// allow reports whether r comes from a page that may call.
func (o origins) allow(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || o.lists(origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// lists reports whether origin is in the list; "*" lists all.
func (o origins) lists(origin string) bool {
	return slices.ContainsFunc(o, func(listed string) bool {
		return listed == "*" || strings.EqualFold(listed, origin)
	})
}

// maxLoggedHeader is how many characters of a header a line of the log has.
const maxLoggedHeader = 200

// warnOfOrigin logs that a page may not call. If the page is the operator's, one of the settings that
// the line names is wrong.
func (s *Server) warnOfOrigin(r *http.Request) {
	s.outages.Warn(r.Context(), "a page of another origin was refused; if it is yours, pass on its Host at the proxy, or allow its origin",
		"origin", validate.Clip(r.Header.Get("Origin"), maxLoggedHeader), "host", validate.Clip(r.Host, maxLoggedHeader), "setting", "ROLLCALL_ALLOWED_ORIGINS")
}

// share lets the page that sent the request read the response. There are no credentials to allow:
// tokens are sent in a header that the page sets itself.
func (o origins) share(h http.Header, r *http.Request) {
	if len(o) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && o.lists(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", headerRequestID)
	}
}

// allowedHeaders are the headers that a page of another origin may send: Rollcall's own, those that
// Apollo's clients add, and those of distributed tracing (W3C Trace Context and Baggage).
var allowedHeaders = strings.Join([]string{
	"Authorization", "Content-Type", headerRequestID, headerPlatform,
	"Apollographql-Client-Name", "Apollographql-Client-Version", "Apollo-Require-Preflight", "X-Apollo-Operation-Name",
	"Traceparent", "Tracestate", "Baggage",
}, ", ")

// preflight responds to OPTIONS: to a browser that asks whether a page may call, or to any caller
// that asks for the methods. It returns false if the page may not call.
func (o origins) preflight(w http.ResponseWriter, r *http.Request) (allowed bool) {
	h := w.Header()
	h.Set("Allow", allowedMethods)
	h.Set("Vary", "Origin, Access-Control-Request-Method")
	if r.Header.Get("Access-Control-Request-Method") != "" {
		if !o.allow(r) {
			w.WriteHeader(http.StatusForbidden)
			return false
		}
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", "7200")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
