package transport

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// UTF-16 writes a character beyond U+FFFF as two halves, each an escape of its own
// in JSON and in GraphQL: "\ud83d\ude00". A half without the other is no
// character. JSON's readers silently read U+FFFD for it, and gqlparser does so
// even for both halves; so they are looked for here, before either reads.

// hasHalf says whether JSON text escapes half a character in a string.
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

// joinHalves answers a GraphQL document in which the escapes of both halves of a
// character are the character; false where one stands without the other.
func joinHalves(document string) (joined string, ok bool) {
	if !strings.Contains(document, `\u`) {
		return document, true
	}
	var out strings.Builder
	for len(document) > 0 {
		text, length := token(document)
		if strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, `"""`) {
			if text, ok = joinInString(text); !ok {
				return "", false
			}
		}
		out.WriteString(text)
		document = document[length:]
	}
	return out.String(), true
}

// token answers the beginning of a document, as far as escapes mean the same in
// it: a string, a block string, a comment, or what is none of these.
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

// blockEnd answers where a block string ends.
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

// stringEnd answers where a string ends; one that is not closed ends with its line.
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

func joinInString(text string) (joined string, ok bool) {
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
		switch {
		case length < 0:
			return "", false
		case length > 0:
			out.WriteRune(char)
		default: // another escape
			length = 2
			out.WriteString(text[:length])
		}
		text = text[length:]
	}
}

// escaped reads the escapes of a character's two halves at the beginning of text.
// length is 0 where it begins with something else, and below 0 with one half alone.
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
