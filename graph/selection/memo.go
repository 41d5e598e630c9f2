package selection

import "context"

// memo is the context of the resolvers of one encoded value. It remembers the values that they look
// up: a page asks for the same few for each of its rows, and each look-up would walk through all
// contexts of the request. Only the goroutine that encodes may use it.
type memo struct {
	context.Context
	known [4]struct{ key, value any }
	n     int
}

// Value implements context.Context. It also remembers that there is no value.
func (m *memo) Value(key any) any {
	for i := range m.known[:m.n] {
		if m.known[i].key == key {
			return m.known[i].value
		}
	}
	value := m.Context.Value(key)
	if m.n < len(m.known) {
		m.known[m.n].key, m.known[m.n].value = key, value
		m.n++
	}
	return value
}
