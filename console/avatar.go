package console

import (
	"hash/fnv"
	"strings"
	"unicode"
)

// avatarTints is how many tints console.css has for avatars.
const avatarTints = 4

// Initials returns up to two characters that stand for the user's picture: pages load nothing from
// other hosts, and a picture may be anywhere.
func (r userRow) Initials() string {
	name := r.Name
	words := strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c) })
	if len(words) == 0 {
		words = strings.FieldsFunc(r.ExternalID, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	}
	if len(words) == 0 {
		return "?"
	}
	initial := func(word string) string { return strings.ToUpper(string([]rune(word)[:1])) }
	first := initial(words[0])
	// One Chinese, Japanese or Korean character is as wide as two letters.
	if len(words) == 1 || unicode.In([]rune(first)[0], unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
		return first
	}
	return first + initial(words[len(words)-1])
}

// Tint returns the number of the avatar's tint, the same for the user on every page.
func (r userRow) Tint() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.ExternalID))
	return int(h.Sum32() % avatarTints)
}
