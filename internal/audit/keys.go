package audit

import "strings"

// keyNameMark begins the part of an entry's detail that names an API key. It is the last part, because
// a name may have spaces.
const keyNameMark = " name="

// KeyDetail returns the detail of an entry about an API key. grant describes what the key may do, or is
// "".
func KeyDetail(prefix, grant, name string) string {
	if grant != "" {
		grant = " " + grant
	}
	return "key=" + prefix + grant + keyNameMark + name
}

// ReadKey reads the detail of an entry about an API key: how the key begins, and its name. Both are ""
// for other entries.
func ReadKey(detail string) (prefix, name string) {
	rest, isKey := strings.CutPrefix(detail, "key=")
	if !isKey {
		return "", ""
	}
	rest, name, _ = strings.Cut(rest, keyNameMark)
	prefix, _, _ = strings.Cut(rest, " ")
	return prefix, name
}
