package validate

import (
	"strings"
	"unicode/utf8"

	"rollcall/internal/fault"
)

// Name checks the name of a new app or operator.
func Name(name string) error {
	if err := NameForm(name); err != nil {
		return err
	}
	switch {
	case !HasVisible(name):
		return fault.Invalid("name", "notblank", "name must have at least one visible character")
	case HasControl(name):
		return fault.Invalid("name", "nocontrol", "name must not contain control characters")
	case HasOverride(name):
		return fault.Invalid("name", "nobidi", "name must not contain bidirectional overrides")
	}
	return nil
}

// NameForm checks that a database can find exactly that name: MySQL ignores trailing spaces, and
// refuses text that is not UTF-8.
func NameForm(name string) error {
	const limit = 64
	if n := utf8.RuneCountInString(name); n < 1 || n > limit || !utf8.ValidString(name) {
		return fault.Invalid("name", "max", "name must have 1 to %d characters", limit)
	}
	if strings.TrimSpace(name) != name {
		return fault.Invalid("name", "name", "name must not begin or end with white space")
	}
	return nil
}
