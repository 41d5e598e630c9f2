package database

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

// Row says how a model's columns are read without GORM.
type Row[T any] struct {
	names  []string
	places [][]int // of the fields, as reflect has them
}

// RowOf answers the Row of all of T's columns but those named.
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

// Only answers the Row of the columns named, which r has.
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

// Targets answers where in model the columns go, in their order.
func (r Row[T]) Targets(model *T) []any {
	list := make([]any, len(r.places), len(r.places)+4) // callers often have a few more
	v := reflect.ValueOf(model).Elem()
	for i, place := range r.places {
		list[i] = v.FieldByIndex(place).Addr().Interface()
	}
	return list
}

// parse answers what GORM knows of a model.
func parse(model any) *schema.Schema {
	parsed, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		panic(err) // the models are compiled in
	}
	return parsed
}
