package database

import (
	"database/sql"
	"errors"

	"rollcall/models"
)

// errNull is returned if a column is NULL but its target cannot be nil.
var errNull = errors.New("the column holds NULL")

// direct replaces the targets by ones that store the values of the models' columns directly.
// database/sql uses reflection for all types except text: it allocates a value for each non-NULL
// nullable column, and converts a number to text and back if its size differs.
func direct(targets []any) {
	for i, to := range targets {
		switch to := to.(type) {
		case *bool:
			targets[i] = boolean{to}
		case *int:
			targets[i] = integer[int]{to}
		case *int64:
			targets[i] = integer[int64]{to}
		case *models.Presence:
			targets[i] = integer[models.Presence]{to}
		case *models.Time:
			targets[i] = integer[models.Time]{to}
		case **models.Time:
			targets[i] = nullableTime{to}
		case **string:
			targets[i] = nullableText{to}
		}
	}
}

type boolean struct{ to *bool }

// Scan implements sql.Scanner.
func (b boolean) Scan(src any) error {
	switch v := src.(type) {
	case bool:
		*b.to = v
		return nil
	case int64:
		if v == 0 || v == 1 {
			*b.to = v == 1
			return nil
		}
	}
	return convert(b.to, src)
}

type integer[T ~int | ~int8 | ~int64] struct{ to *T }

// Scan implements sql.Scanner.
func (n integer[T]) Scan(src any) error {
	if v, ok := src.(int64); ok && int64(T(v)) == v {
		*n.to = T(v)
		return nil
	}
	return convert(n.to, src)
}

type nullableTime struct{ to **models.Time }

// Scan implements sql.Scanner.
func (t nullableTime) Scan(src any) error {
	if src == nil {
		*t.to = nil
		return nil
	}
	v := new(models.Time)
	*t.to = v
	return integer[models.Time]{v}.Scan(src)
}

type nullableText struct{ to **string }

// Scan implements sql.Scanner.
func (t nullableText) Scan(src any) error {
	if src == nil {
		*t.to = nil
		return nil
	}
	v := new(string)
	*t.to = v
	switch src := src.(type) {
	case []byte:
		*v = string(src)
	case string:
		*v = src
	default:
		return convert(v, src)
	}
	return nil
}

// convert is database/sql's own conversion.
func convert[T any](to *T, src any) error {
	var v sql.Null[T]
	if err := v.Scan(src); err != nil {
		return err
	}
	if !v.Valid {
		return errNull
	}
	*to = v.V
	return nil
}
