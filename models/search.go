package models

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxSearchForm is the maximum length of a SearchForm in characters: the column users.search_name has
// room for one, a line feed and an ID. A name has 64, so only one with ligatures is cut.
const maxSearchForm = 127

// letters are letters that Unicode does not decompose, with what is typed in their place.
var letters = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "æ", "ae", "œ", "oe")

// SearchForm returns the form of a name, an ID or a search text that searches compare. It ignores
// case, accents and other marks that scripts share, the width and the style of characters, and
// control and format characters, in the same way on every database: "É" and "e", "ß" and "ss",
// "Ａ" and "a" are the same. It has at most 127 characters.
func SearchForm(text string) string {
	if !isASCII(text) {
		text = norm.NFKC.String(strings.Map(ignoreMark, cases.Fold().String(norm.NFKD.String(text))))
		text = letters.Replace(text)
	}
	text = strings.Map(ignoreControl, strings.ToLower(text))
	if n := 0; len(text) > maxSearchForm {
		for i := range text {
			if n++; n > maxSearchForm {
				return text[:i]
			}
		}
	}
	return text
}

// SearchName returns the SearchName of a user: the forms of its name and of its ID, with a line feed
// between them, which no form contains. So no search matches the end of one and the beginning of the
// other, and the order is that of the names.
func SearchName(name, id string) string { return SearchForm(name) + "\n" + SearchForm(id) }

// ignoreMark drops the marks that scripts share, such as accents. Marks of one script, such as the
// vowels of Thai, are letters to its readers.
func ignoreMark(r rune) rune {
	if unicode.Is(unicode.Mn, r) && unicode.Is(unicode.Inherited, r) {
		return -1
	}
	return r
}

// ignoreControl drops control and format characters.
func ignoreControl(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf) {
		return -1
	}
	return r
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
