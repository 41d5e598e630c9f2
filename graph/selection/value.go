package selection

import "sync/atomic"

// value defines how the value of one field is written, an object or a list of objects, with what is
// selected of it.
type value struct {
	typ  Type
	list bool
	// nullable reports whether the value may be null, nullableElement whether an element of the
	// list may.
	nullable, nullableElement bool
	members                   []member
	// size is the length of the last one, used as the initial capacity for the next.
	size atomic.Int64
}

// member is one entry of the object in the response.
type member struct {
	// text is the key with its punctuation, `,"name":`; for __typename it is the whole entry.
	text string
	// field reads the entry's value; neither function is set for __typename.
	field Field
	// value defines how the result of field.Value is written.
	value *value
}

// write writes x. It reports false if that is not possible without an error.
func (v *value) write(e *Encoder, x any) bool {
	if !v.list {
		obj, ok := v.typ.object(x)
		return ok && v.object(e, obj, v.nullable)
	}
	elements, ok := v.typ.list(x)
	if !ok {
		return false
	}
	if v.nullable && elements.null() {
		return e.Null()
	}
	e.out = append(e.out, '[')
	for i := range elements.len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if !v.object(e, elements.at(i), v.nullableElement) {
			return false
		}
	}
	e.out = append(e.out, ']')
	return true
}

func (v *value) object(e *Encoder, obj any, nullable bool) bool {
	if obj == nil {
		return nullable && e.Null()
	}
	if e.full() {
		return false
	}
	e.out = append(e.out, '{')
	for i := range v.members {
		m := &v.members[i]
		e.out = append(e.out, m.text...)
		switch {
		case m.field.Leaf != nil:
			if !m.field.Leaf(e, obj) {
				return false
			}
		case m.value != nil:
			x, ok := m.field.Value(e, obj)
			if !ok || !m.value.write(e, x) {
				return false
			}
		}
	}
	e.out = append(e.out, '}')
	return true
}
