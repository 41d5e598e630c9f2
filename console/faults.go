package console

import (
	"html/template"
	"maps"
	"strings"

	"rollcall/internal/fault"
)

// faults are what is wrong with the fields of a form, by the name of the field. A page embeds them as
// Errors; its templates use Attrs and Of beside each field.
type faults map[string]faultText

// faultText is the text that explains what is wrong with a field.
type faultText struct {
	// Key is the key of the text, or "" if nothing is wrong. Args are the names and the values in it.
	Key  string
	Args []any
	// Value is shown after the text, or "". It may be what was typed, which is in any script.
	Value string
}

// faultOf returns what is wrong with one field alone.
func faultOf(field, key string, args ...any) faults {
	f := faults{}
	f.set(field, key, args...)
	return f
}

// set records what is wrong with a field.
func (f faults) set(field, key string, args ...any) { f[field] = faultText{Key: key, Args: args} }

// fieldFault is what is wrong with one field.
type fieldFault struct {
	Field string
	faultText
}

// ID returns the ID of the element with the text.
func (f fieldFault) ID() string { return f.Field + "-error" }

// Of returns what is wrong with a field.
func (f faults) Of(field string) fieldFault { return fieldFault{field, f[field]} }

// Attrs returns the attributes of a field's control: the elements that describe it, which are those
// with the IDs hints and the text of a fault, and whether it is wrong. The first wrong control of a
// page gets the focus.
func (f faults) Attrs(field string, hints ...string) template.HTMLAttr {
	attrs := f.described(field, hints...)
	if f[field].Key != "" {
		attrs += ` aria-invalid="true" autofocus`
	}
	return attrs
}

// Group is Attrs for a group of controls. A group cannot have aria-invalid, and none of its controls is
// the wrong one, so the group gets the focus.
func (f faults) Group(field string, hints ...string) template.HTMLAttr {
	attrs := f.described(field, hints...)
	if f[field].Key != "" {
		attrs += ` tabindex="-1" autofocus`
	}
	return attrs
}

func (f faults) described(field string, hints ...string) template.HTMLAttr {
	if f[field].Key != "" {
		hints = append(hints, f.Of(field).ID())
	}
	if len(hints) == 0 {
		return ""
	}
	return template.HTMLAttr(` aria-describedby="` + strings.Join(hints, " ") + `"`)
}

// faultsOf returns the faults of the fields that the rules refused, the first of each. The text is that
// of the field and the rule, or a general one.
func faultsOf(v *visit, err error) faults {
	found := faults{}
	for _, refusal := range fault.All(err) {
		field, _ := refusal.Extensions["field"].(string)
		rule, _ := refusal.Extensions["rule"].(string)
		text := "wrong." + field + "." + rule
		switch {
		case v.locale.has(text):
		case rule == "oneof":
			text = "wrong.choice"
		default:
			text = "wrong.other"
		}
		if _, known := found[field]; !known {
			maps.Copy(found, faultOf(field, text))
		}
	}
	return found
}
