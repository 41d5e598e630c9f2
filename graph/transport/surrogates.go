package transport

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// UTF-16 encodes a character beyond U+FFFF as two halves, each an escape of its own in JSON and in
// GraphQL: "\ud83d\ude00". A half without the other is not a character. JSON parsers silently
// replace it with U+FFFD, and gqlparser does so even for both halves; so this file looks for them
// before either parses. GraphQL also has escapes of any width, "\u{1F600}" (specification of
// September 2025, section 2.9.4), which gqlparser does not read.

// hasHalf reports whether a string in JSON text has an escape of half a character.
func hasHalf(text string) bool {
	if !strings.Contains(text, `\u`) {
		return false
	}
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if _, length := escaped(text[i:]); length < 0 {
			return true
		} else if length > 0 {
			i += length - 1
		} else {
			i++ // another escape
		}
	}
	return false
}

// translateEscapes returns a GraphQL document in which the escapes that gqlparser does not read are
// written in a form that it does. It reports false if one of them is half a character.
func translateEscapes(document string) (translated string, ok bool) {
	if !strings.Contains(document, `\u`) {
		return document, true
	}
	var out strings.Builder
	for len(document) > 0 {
		text, length := token(document)
		if strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, `"""`) {
			if text, ok = translateString(text); !ok {
				return "", false
			}
		}
		out.WriteString(text)
		document = document[length:]
	}
	return out.String(), true
}

// token returns the prefix of a document in which escapes have one meaning: a string, a block
// string, a comment, or text that is none of these.
func token(document string) (text string, length int) {
	end := strings.IndexAny(document, `"#`)
	switch {
	case end < 0:
		end = len(document)
	case end > 0: // up to it
	case document[0] == '#':
		if end = strings.IndexAny(document, "\r\n"); end < 0 {
			end = len(document)
		}
	case strings.HasPrefix(document, `"""`):
		end = blockEnd(document)
	default:
		end = stringEnd(document)
	}
	return document[:end], end
}

// blockEnd returns where a block string ends.
func blockEnd(document string) int {
	for i := 3; i < len(document); i++ {
		switch {
		case strings.HasPrefix(document[i:], `\"""`):
			i += 3
		case strings.HasPrefix(document[i:], `"""`):
			return i + 3
		}
	}
	return len(document)
}

// stringEnd returns where a string ends. An unclosed string ends with its line.
func stringEnd(document string) int {
	for i := 1; i < len(document); i++ {
		switch document[i] {
		case '\\':
			i++
		case '"', '\r', '\n':
			return i + 1
		}
	}
	return len(document)
}

// translateString is translateEscapes for one string of a document. Invalid escapes remain, for
// gqlparser to refuse.
func translateString(text string) (translated string, ok bool) {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '\\')
		if at < 0 || at+1 == len(text) {
			out.WriteString(text)
			return out.String(), true
		}
		out.WriteString(text[:at])
		text = text[at:]
		char, length := escaped(text)
		if length == 0 {
			char, length = bracedEscape(text)
		}
		switch {
		case length < 0:
			return "", false
		case length == 0: // another escape
			length = 2
			out.WriteString(text[:length])
		case char > 0xFFFF:
			out.WriteRune(char)
		default: // may be a quote or a line's end
			fmt.Fprintf(&out, `\u%04x`, char)
		}
		text = text[length:]
	}
}

// bracedEscape reads an escape such as \u{1F600} at the beginning of text. length is 0 if text
// begins with something else or with no character of Unicode, and negative for half a character.
func bracedEscape(text string) (char rune, length int) {
	const prefix = `\u{`
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return 0, 0
	}
	end := 0
	for end < len(digits) && isHexDigit(digits[end]) {
		end++
	}
	if end == len(digits) || digits[end] != '}' {
		return 0, 0
	}
	n, err := strconv.ParseUint(digits[:end], 16, 32)
	if err != nil || n > unicode.MaxRune {
		return 0, 0
	}
	if utf16.IsSurrogate(rune(n)) {
		return 0, -1
	}
	return rune(n), len(prefix) + end + len("}")
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// escaped reads the escapes of a character's two halves at the beginning of text. length is 0 if
// text begins with something else, and negative if only one half is there.
func escaped(text string) (char rune, length int) {
	const half = len(`\ud83d`)
	first, ok := unit(text)
	if !ok || !utf16.IsSurrogate(first) {
		return 0, 0
	}
	second, _ := unit(text[half:])
	if char = utf16.DecodeRune(first, second); char == '\uFFFD' {
		return 0, -1
	}
	return char, 2 * half
}

// unit reads one escape of four hexadecimal digits.
func unit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}
