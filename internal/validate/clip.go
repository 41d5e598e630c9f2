package validate

import "strings"

// Clip returns text as valid UTF-8 of at most limit characters.
func Clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	count := 0
	for at := range text {
		if count == limit {
			return text[:at]
		}
		count++
	}
	return text
}

// ClipASCII returns text for an ASCII column of limit characters. Other characters become
// question marks.
func ClipASCII(text string, limit int) string {
	return Clip(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text), limit)
}
