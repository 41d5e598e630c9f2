// Package httpheader reads header fields whose value is a list. A sender may write the list in one
// line or in several, with blanks and empty elements (RFC 9110, sections 5.3 and 5.6.1).
// http.Header.Get returns only the first line.
package httpheader

import (
	"iter"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Elements yields the elements of the list in the header's fields of that name, in order. A comma
// inside a quoted string belongs to its element.
func Elements(h http.Header, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h.Values(name) {
			for line != "" {
				end := elementEnd(line)
				element := strings.Trim(line[:end], " \t")
				line = strings.TrimPrefix(line[end:], ",")
				if element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// elementEnd returns the index of the comma that ends the first element of line, or its length.
func elementEnd(line string) int {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return i
		}
	}
	return len(line)
}

// Has reports whether the list in the header's fields of that name has token as an element,
// regardless of case.
func Has(h http.Header, name, token string) bool {
	for element := range Elements(h, name) {
		if strings.EqualFold(element, token) {
			return true
		}
	}
	return false
}

// Preferences yields the elements of a field such as Accept or Accept-Encoding, in lower case and
// without parameters, each with its quality: from 0 (refused) to 1, which is also the default. It
// omits malformed elements.
func Preferences(h http.Header, name string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for element := range Elements(h, name) {
			value, params, err := mime.ParseMediaType(element)
			if err != nil {
				continue
			}
			quality := 1.0
			if q, ok := params["q"]; ok {
				if quality, err = strconv.ParseFloat(q, 64); err != nil || !(quality >= 0 && quality <= 1) {
					continue
				}
			}
			if !yield(value, quality) {
				return
			}
		}
	}
}
