// Package selection encodes what an operation selects straight into the
// response where nothing can go wrong on the way.
//
// gqlgen's generated code runs every field by itself: a context, a chain of
// closures and an interface for each, and for each element of a list a goroutine
// on top. That is what a resolver needs. A field that is only read from a Go
// struct needs none of it, and a page of 50 users has hundreds of them.
//
// So package selection looks, once for a parsed operation, at what is selected
// below each field. Where that is nothing but fields that are read from structs
// (and those that the schema marks with @goInline), the field's value is written
// in one go: its Extension, a field middleware, hands gqlgen the encoded value
// in place of the object. Where anything else is selected, gqlgen's code carries
// that object out, and the same question is asked at the fields below it.
//
// Writing directly never reports an error. Whatever would be one (null where the
// schema has none, an @goInline resolver that refuses, a panic) gives up the
// direct attempt, and gqlgen's code does all of that field's value again: errors,
// their paths and how far null spreads are its business alone. Hence what is
// encoded directly must do the same when it is done twice.
//
// The events of a subscription are objects that no field middleware sees: gqlgen
// encodes their own fields, and the question is asked below those.
//
// A field that has arguments, or a directive of the schema that might run
// something, is never encoded directly, so no check is passed by. Field
// middlewares do not run for what is: those of an executor that uses the
// Extension must have nothing to do for fields without arguments and directives.
//
// What is known of the types comes from `graph/selection/generate`, a plugin to
// gqlgen that writes generated.Selections from the schema; this package knows
// no type and no resolver.
package selection

// Types are the object types of a schema, by name.
type Types map[string]Type

// Without takes a field of an object type out, which is then left to gqlgen, and
// answers ts.
func (ts Types) Without(object, field string) Types {
	delete(ts[object].fields, field)
	return ts
}

// Fields are the fields of an object type that can be encoded directly, by name.
// Exactly one function of each is set.
type Fields map[string]Field

// Field says how one field of an object is encoded directly. Its functions get
// the object as a pointer to the type's Go struct, and answer false to leave
// everything to gqlgen.
type Field struct {
	// Leaf writes a scalar or an enum.
	Leaf func(e *Encoder, obj any) bool
	// Value answers an object or a list of objects.
	Value func(e *Encoder, obj any) (value any, ok bool)
}

// Type says how objects of one type are encoded directly.
type Type struct {
	fields Fields
	// object answers a value as a pointer to the Go struct, nil for null.
	object func(value any) (obj any, ok bool)
	// list answers a value as a list of such pointers.
	list func(value any) (list, bool)
}

// list is a list of objects.
type list interface {
	len() int
	at(i int) any
	null() bool
}

// Of answers the object type that is a struct T in Go. Its values may be T or
// *T, its lists []T or []*T.
func Of[T any](fields Fields) Type {
	return Type{fields, object[T], listOf[T]}
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
