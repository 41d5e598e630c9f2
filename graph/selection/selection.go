// Package selection encodes the values that an operation selects directly into the response where
// nothing can fail on the way.
//
// gqlgen's generated code runs every field separately: with a context, a chain of closures and an
// interface for each, and a goroutine for each element of a list. A resolver needs that. A field
// that is only read from a Go struct needs none of it, and a page of 50 users has hundreds of them.
//
// So package selection examines, once for a parsed operation, the selection below each field. If it
// consists only of fields that are read from structs (and those that the schema marks with
// @goInline), the field's value is written in one go: the Extension, a field middleware, hands
// gqlgen the encoded value in place of the object. Otherwise gqlgen's code resolves that object,
// and the fields below it are examined in the same way.
//
// Direct encoding never reports an error. Anything that would be one (null for a non-null field, an
// @goInline resolver that refuses, a panic) abandons the attempt, and gqlgen's code resolves the
// whole value of the field again: errors, their paths and the propagation of null are left to it.
// Hence resolving a directly encoded field twice must have the same result as resolving it once.
//
// The events of a subscription are objects that no field middleware sees: gqlgen encodes their own
// fields, and the fields below those are examined.
//
// A field that has arguments, or a directive of the schema that might execute code, is never
// encoded directly, so no check is bypassed. Field middlewares do not run for fields that are
// encoded directly: those of an executor that uses the Extension must have nothing to do for fields
// without arguments and directives.
//
// The description of the types comes from `graph/selection/generate`, a plugin of gqlgen that
// generates generated.Selections from the schema; this package knows no type and no resolver.
package selection

// Types are the object types of a schema, by name.
type Types map[string]Type

// Without removes a field of an object type, which is then left to gqlgen, and returns ts.
func (ts Types) Without(object, field string) Types {
	delete(ts[object].fields, field)
	return ts
}

// Fields are the fields of an object type that can be encoded directly, by name. Exactly one
// function of each is set.
type Fields map[string]Field

// Field defines how one field of an object is encoded directly. Its functions receive the object as
// a pointer to the type's Go struct, and report false to leave everything to gqlgen.
type Field struct {
	// Leaf writes a scalar or an enum.
	Leaf func(e *Encoder, obj any) bool
	// Value returns an object or a list of objects.
	Value func(e *Encoder, obj any) (value any, ok bool)
}

// Type defines how objects of one type are encoded directly.
type Type struct {
	// names are the name of the type, of its interfaces and of the unions that contain it.
	names  []string
	fields Fields
	// object returns a value as a pointer to the Go struct, or nil for null.
	object func(value any) (obj any, ok bool)
	// list returns a value as a list of such pointers.
	list func(value any) (list, bool)
}

// list is a list of objects.
type list interface {
	len() int
	at(i int) any
	null() bool
}

// Of returns the object type that is the struct T in Go. Its values may be T or *T, its lists []T
// or []*T. names are the name of the type, of its interfaces and of the unions that contain it.
func Of[T any](names []string, fields Fields) Type {
	return Type{names, fields, object[T], listOf[T]}
}

func object[T any](value any) (any, bool) {
	switch v := value.(type) {
	case *T:
		if v == nil {
			return nil, true
		}
		return v, true
	case T:
		return &v, true
	}
	return nil, false
}

func listOf[T any](value any) (list, bool) {
	switch v := value.(type) {
	case []*T:
		return pointers[T](v), true
	case []T:
		return structs[T](v), true
	}
	return nil, false
}

type pointers[T any] []*T

func (l pointers[T]) len() int   { return len(l) }
func (l pointers[T]) null() bool { return l == nil }

func (l pointers[T]) at(i int) any {
	if l[i] == nil {
		return nil
	}
	return l[i]
}

type structs[T any] []T

func (l structs[T]) len() int     { return len(l) }
func (l structs[T]) null() bool   { return l == nil }
func (l structs[T]) at(i int) any { return &l[i] }
