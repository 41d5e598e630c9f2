package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// A request's JSON is small, and becomes a few strings and a map. To have
// encoding/json find that out by reflection costs several times what the reading
// does. So json.Valid says whether it is JSON, and what follows only takes apart what
// is; it answers what encoding/json would.

// errNoObject is the answer where an object was wanted.
var errNoObject = errors.New("this is no JSON object")

// jsonEntries answers the values of an object's entries with these names, in their
// order, as parts of text: the last one where a name is there twice, nil where it is
// not. null has no entries. text must be valid JSON.
func jsonEntries(text []byte, names ...string) ([]json.RawMessage, error) {
	c := jsonCursor{rest: text}
	values := make([]json.RawMessage, len(names))
	switch c.peek() {
	case 'n':
		return values, nil
	case '{':
	default:
		return nil, errNoObject
	}
	for c.step('}') {
		name := c.string()
		c.past(':')
		value := c.skip()
		if i := slices.Index(names, name); i >= 0 {
			values[i] = value
		}
	}
	return values, nil
}

// jsonObject answers an object, nil for null. Numbers keep their digits, as the
// executor expects them. text must be valid JSON.
func jsonObject(text []byte) (map[string]any, error) {
	c := jsonCursor{rest: text}
	switch c.peek() {
	case 'n':
		return nil, nil
	case '{':
		return c.object(), nil
	}
	return nil, errNoObject
}

// jsonCursor walks through valid JSON.
type jsonCursor struct{ rest []byte }

// peek answers the first character that is no space.
func (c *jsonCursor) peek() byte {
	for {
		switch b := c.rest[0]; b {
		case ' ', '\t', '\r', '\n':
			c.rest = c.rest[1:]
		default:
			return b
		}
	}
}

// past goes on behind a character, which comes next.
func (c *jsonCursor) past(char byte) {
	if c.peek() == char {
		c.rest = c.rest[1:]
	}
}

// step goes on behind the bracket or comma before an object's or a list's next
// element, and answers false behind the bracket that ends it.
func (c *jsonCursor) step(end byte) bool {
	if c.peek() != end {
		c.rest = c.rest[1:]
		if c.peek() != end {
			return true
		}
	}
	c.rest = c.rest[1:]
	return false
}

// cut answers what is next, of that length.
func (c *jsonCursor) cut(length int) []byte {
	head := c.rest[:length]
	c.rest = c.rest[length:]
	return head
}

// skip answers the next value's text.
func (c *jsonCursor) skip() []byte {
	switch c.peek() {
	case '"':
		return c.cut(quoted(c.rest))
	case '{', '[':
		return c.cut(bracketed(c.rest))
	}
	return c.cut(bare(c.rest))
}

// value reads the next value.
func (c *jsonCursor) value() any {
	switch c.peek() {
	case '{':
		return c.object()
	case '[':
		list := []any{}
		for c.step(']') {
			list = append(list, c.value())
		}
		return list
	case '"':
		return c.string()
	}
	switch text := c.skip(); text[0] {
	case 'n':
		return nil
	case 't', 'f':
		return text[0] == 't'
	default:
		return json.Number(text)
	}
}

func (c *jsonCursor) object() map[string]any {
	object := make(map[string]any)
	for c.step('}') {
		name := c.string()
		c.past(':')
		object[name] = c.value()
	}
	return object
}

func (c *jsonCursor) string() string {
	c.peek()
	s, _ := unquote(c.cut(quoted(c.rest)))
	return s
}

// unquote answers the string that a valid JSON value is, "" for null.
func unquote(text []byte) (string, error) {
	if text[0] == '"' && bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}

// quoted answers the length of the string that text begins with.
func quoted(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// bracketed answers the length of the object or list that text begins with.
func bracketed(text []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch text[i] {
		case '"':
			i += quoted(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// bare answers the length of the number or word that text begins with.
func bare(text []byte) int {
	if end := bytes.IndexAny(text, ",]} \t\r\n"); end >= 0 {
		return end
	}
	return len(text)
}
