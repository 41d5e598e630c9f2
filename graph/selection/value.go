package selection

import "sync/atomic"

// value is how what one field answers is written, an object or a list of them,
// with what is selected of it.
type value struct {
	typ  Type
	list bool
	// nullable says whether the value may be null, nullableElement whether an
	// element of the list may.
	nullable, nullableElement bool
	members                   []member
	// size is how long the last one was: room for the next.
	size atomic.Int64
}

// member is one entry of the object in the response.
type member struct {
	// text is the key with what is around it, `,"name":`; all of __typename's entry.
	text string
	// field reads the entry's value; neither function is set for __typename.
	field Field
	// value is how what field.Value answers is written.
	value *value
}

// write writes v, and answers false where that cannot be done without an error.
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
