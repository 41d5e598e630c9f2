package database

// IsASCII reports whether text may be compared with a column of IDs or keys. These are ASCII, and
// MySQL returns an error rather than "unequal" for other text.
func IsASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
