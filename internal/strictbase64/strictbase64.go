// Package strictbase64 decodes base64 texts that have exactly one spelling.
package strictbase64

import (
	"encoding/base64"
	"errors"
	"strings"
)

// errLineBreak is for what encoding/base64 skips, also after Encoding.Strict.
var errLineBreak = errors.New("illegal line break in base64 data")

// Decode returns what text encodes. It returns an error unless text is exactly what encoding writes
// for these bytes: without line breaks, and with zeros in the bits that are left over at the end.
func Decode(encoding *base64.Encoding, text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errLineBreak
	}
	return encoding.Strict().DecodeString(text)
}
