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
	switch {
	case name == "":
		return fault.Invalid("name", "required", "name must not be empty")
	case !utf8.ValidString(name):
		return fault.Invalid("name", "utf8", "name must be UTF-8")
	case utf8.RuneCountInString(name) > limit:
		return fault.Invalid("name", "max", "name must have at most %d characters", limit)
	case strings.TrimSpace(name) != name:
		return fault.Invalid("name", "name", "name must not begin or end with white space")
	}
	return nil
}
