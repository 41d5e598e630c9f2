package operators

import (
	"github.com/mileusna/useragent"

	"rollcall/internal/validate"
)

// clientLength is the maximum length of a client's name.
const clientLength = 64

// ClientOf returns the program that a User-Agent header names, for people, such as "Firefox on
// Linux", or "" if the header is empty. It is only what the client claims to be.
func ClientOf(userAgent string) string {
	parsed := useragent.Parse(userAgent)
	client := parsed.Name
	if client != "" && parsed.OS != "" {
		client += " on " + parsed.OS
	}
	return validate.ClipASCII(client, clientLength)
}
