package validate

import (
	"fmt"
	"strings"
)

// Kind is what a rule counts in a value.
type Kind int

// The kinds of values.
const (
	Number Kind = iota // its value
	Text               // its characters
	List               // its items
)

// unit returns a bound n with the kind's unit, such as "64 characters".
func (k Kind) unit(n string) string {
	word := map[Kind]string{Text: "character", List: "item"}[k]
	switch {
	case word == "":
		return n
	case n == "1":
		return "1 " + word
	}
	return n + " " + word + "s"
}

// Describe returns what the rule allows, such as "1 to 64 characters, no control characters", or ""
// if it has no bounds. kinds are the value's kind and, for a list, the kind of its items; an item
// without a kind, such as an input object, describes itself. Describe returns an error for a rule
// that it cannot describe.
func Describe(rule string, kinds ...Kind) (string, error) {
	outer, inner, dives := strings.Cut(rule, ",dive")
	phrases, err := describeOne(outer, kinds[0])
	if err != nil {
		return "", err
	}
	if dives && inner != "" && len(kinds) > 1 {
		each, err := Describe(strings.TrimPrefix(inner, ","), kinds[1:]...)
		if err != nil {
			return "", err
		}
		phrases = append(phrases, "each of "+each)
	}
	return strings.Join(phrases, ", "), nil
}

// describeOne is Describe for one value, without its items.
func describeOne(rule string, kind Kind) ([]string, error) {
	var lower, upper string
	var phrases []string
	for _, tag := range strings.Split(rule, ",") {
		name, bound, _ := strings.Cut(tag, "=")
		switch name {
		case "omitnil", "omitempty": // the type shows that the value is optional
		case "either":
			phrases = append(phrases, "given if `"+fieldName(bound)+"` is not, and only then")
		case "without":
			phrases = append(phrases, "not together with `"+fieldName(bound)+"`")
		case "required":
			lower = "1"
		case "min":
			lower = bound
		case "max":
			upper = bound
		case "maxbytes":
			phrases = append(phrases, "at most "+bound+" bytes")
		case "node":
			phrases = append(phrases, "begins with `"+bound+":`")
		default:
			words, known := formRules[name]
			if !known {
				return nil, fmt.Errorf("the rule %s has no description", name)
			}
			phrases = append(phrases, words.allowed)
		}
	}
	var bounds string
	switch {
	case lower != "" && upper != "":
		bounds = lower + " to " + kind.unit(upper)
	case lower != "":
		bounds = "at least " + kind.unit(lower)
	case upper != "":
		bounds = "at most " + kind.unit(upper)
	default:
		return phrases, nil
	}
	return append([]string{bounds}, phrases...), nil
}
