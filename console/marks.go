package console

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// withMarks returns a rendered page in which control and format characters are shown as marks such
// as U+202E: a name with one of them could reverse the text around it, or look like another name.
// Attributes and the contents of textarea and script elements stay as they are, because forms send
// them.
func withMarks(page []byte) []byte {
	if !bytes.ContainsFunc(page, hidden) {
		return page
	}
	out := make([]byte, 0, len(page)+256)
	var before rune
	inTag, raw, plain := false, false, false
	for i := 0; i < len(page); {
		r, size := utf8.DecodeRune(page[i:])
		switch {
		case r == '<':
			inTag = true
			switch rest := page[i:]; {
			case opens(rest, "textarea"), opens(rest, "script"):
				raw = true
			case opens(rest, "title"), opens(rest, "option"):
				plain = true // these elements contain no others
			case opens(rest, "/textarea"), opens(rest, "/script"):
				raw = false
			case opens(rest, "/title"), opens(rest, "/option"):
				plain = false
			}
		case r == '>':
			inTag = false
		}
		switch {
		case inTag || raw || !hidden(r) || joins(before, r):
			out = append(out, page[i:i+size]...)
		case plain:
			out = fmt.Appendf(out, "[U+%04X]", r)
		default:
			out = fmt.Appendf(out, `<span class="hidden-character">U+%04X</span>`, r)
		}
		before = r
		i += size
	}
	return out
}

// opens reports whether text begins with a tag of that name.
func opens(text []byte, name string) bool {
	return len(text) > len(name)+1 && string(text[1:1+len(name)]) == name && (text[1+len(name)] == '>' || text[1+len(name)] == ' ')
}

// hidden reports whether a character shows nothing by itself: control and format characters, line
// and paragraph separators, and fillers.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7F
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// joining are the scripts that are written with joiners.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati,
	unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar,
}

// joins reports whether r, a hidden character, belongs to the text: a joiner in an emoji or in a
// script that needs it, and the tags of a flag.
func joins(before, r rune) bool {
	const nonJoiner, joiner, emojiStyle, blackFlag = 0x200C, 0x200D, 0xFE0F, 0x1F3F4
	tag := func(r rune) bool { return r >= 0xE0020 && r <= 0xE007F }
	switch {
	case r == joiner && (before == emojiStyle || unicode.In(before, unicode.So, unicode.Sk)):
		return true
	case r == joiner || r == nonJoiner:
		return unicode.In(before, joining...)
	case tag(r):
		return before == blackFlag || tag(before)
	}
	return false
}
