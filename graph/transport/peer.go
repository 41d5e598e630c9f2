package transport

import (
	"net/http"
	"unique"

	"rollcall/internal/validate"
)

// userAgentLength is how many characters of a User-Agent header are kept while a link is open.
const userAgentLength = 255

// peer is what a link knows of the client at its other end.
type peer struct {
	address string
	// userAgent is shared by all links, because many clients send the same one.
	userAgent unique.Handle[string]
}

// peerOf returns the client that sent r from that address.
func peerOf(r *http.Request, address string) peer {
	return peer{address, unique.Make(validate.Clip(r.UserAgent(), userAgentLength))}
}
