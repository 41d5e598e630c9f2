package database

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

// Row defines how a model's columns are read without GORM.
type Row[T any] struct {
	names  []string
	places [][]int // the indexes of the fields, as used by reflect
}

// RowOf returns the Row of all of T's columns except those named.
func RowOf[T any](without ...string) Row[T] {
	parsed := parse(new(T))
	var r Row[T]
	for _, field := range parsed.Fields {
		if field.DBName != "" && !slices.Contains(without, field.DBName) {
			r.names = append(r.names, field.DBName)
			r.places = append(r.places, field.StructField.Index)
		}
	}
	return r
}

// Only returns the Row of the columns named, which must be in r.
func (r Row[T]) Only(names ...string) Row[T] {
	var some Row[T]
	for i, name := range r.names {
		if slices.Contains(names, name) {
			some.names, some.places = append(some.names, name), append(some.places, r.places[i])
		}
	}
	return some
}

// Columns lists the columns of the table, which may be an alias, for a SELECT.
func (r Row[T]) Columns(table string) string {
	list := make([]string, len(r.names))
	for i, name := range r.names {
		list[i] = table + ".`" + name + "`"
	}
	return strings.Join(list, ", ")
}

// Targets returns pointers to the columns' fields in model, in their order.
func (r Row[T]) Targets(model *T) []any {
	list := make([]any, len(r.places), len(r.places)+4) // callers often append a few more
	v := reflect.ValueOf(model).Elem()
	for i, place := range r.places {
		list[i] = v.FieldByIndex(place).Addr().Interface()
	}
	return list
}

// parse returns GORM's schema of a model.
func parse(model any) *schema.Schema {
	parsed, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		panic(err) // models are known at compile time
	}
	return parsed
}
