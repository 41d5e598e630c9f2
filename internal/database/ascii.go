package database

// IsASCII says whether text can be compared with a column of IDs or keys: they
// are ASCII, and MySQL answers an error rather than "unequal" for other text.
func IsASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
