package validate

import (
	"strings"
	"unicode"
)

var (
	// drawn are the categories whose characters have a form of their own. Unassigned
	// and private-use code points are among them: scripts and emoji that are newer than
	// Go's Unicode tables, and the icons of a platform's own font. White space, control
	// and format characters and combining marks are not.
	drawn = []*unicode.RangeTable{unicode.L, unicode.N, unicode.P, unicode.S, unicode.Co, unicode.Cn}

	// undrawn are the exceptions among them: fillers, blanks, placeholders, and code points that
	// are ignored in display or never assigned.
	undrawn = []*unicode.RangeTable{
		unicode.Other_Default_Ignorable_Code_Point, // Hangul fillers, reserved ignorable ranges
		unicode.Noncharacter_Code_Point,
		{
			R16: []unicode.Range16{
				{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille pattern blank
				{Lo: 0xFFFC, Hi: 0xFFFC, Stride: 1}, // object replacement character: a placeholder
			},
			R32: []unicode.Range32{
				{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // Egyptian hieroglyph full and half blank
				{Lo: 0x1D159, Hi: 0x1D159, Stride: 1}, // musical symbol null notehead
			},
		},
	}

	// overrides are the explicit directional formatting characters of UAX #9. The marks
	// U+200E, U+200F and U+061C are not among them; right-to-left names need those.
	overrides = &unicode.RangeTable{R16: []unicode.Range16{
		{Lo: 0x202A, Hi: 0x202E, Stride: 1},
		{Lo: 0x2066, Hi: 0x2069, Stride: 1},
	}}
)

// HasVisible reports whether text has a visible character. White space, format characters, fillers
// and combining marks alone are invisible.
func HasVisible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, drawn...) && !unicode.In(r, undrawn...)
	})
}

// HasControl reports whether text contains a control character (Unicode Cc).
func HasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

// HasOverride reports whether text contains a bidirectional embedding, override or
// isolate, by which a name could reorder the text around it.
func HasOverride(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(overrides, r) })
}
