package database

import (
	"database/sql"
	"reflect"
	"testing"

	"rollcall/models"
)

// TestDirectTargets: every value of a driver is accepted or refused as database/sql does.
func TestDirectTargets(t *testing.T) {
	t.Run("bool", likeDatabaseSQL[bool])
	t.Run("int", likeDatabaseSQL[int])
	t.Run("int64", likeDatabaseSQL[int64])
	t.Run("presence", likeDatabaseSQL[models.Presence])
	t.Run("time", likeDatabaseSQL[models.Time])
	t.Run("nullable time", likeDatabaseSQL[*models.Time])
	t.Run("nullable text", likeDatabaseSQL[*string])
}

func likeDatabaseSQL[T any](t *testing.T) {
	for _, src := range []any{
		nil, true, false, int64(0), int64(1), int64(2), int64(-5), int64(300), int64(1 << 40), 2.5,
		"", "1", "ann", "300", []byte(""), []byte("0"), []byte("7"), []byte("Zoë"),
	} {
		var want sql.Null[T]
		wantErr := want.Scan(src)
		if src == nil && reflect.TypeFor[T]().Kind() != reflect.Pointer {
			wantErr = errNull
		}
		var got T
		targets := []any{&got}
		direct(targets)
		target, ok := targets[0].(sql.Scanner)
		if !ok {
			t.Fatal("left to database/sql")
		}
		if err := target.Scan(src); (err == nil) != (wantErr == nil) {
			t.Errorf("%#v: error %v, want %v", src, err, wantErr)
		} else if err == nil && !reflect.DeepEqual(got, want.V) {
			t.Errorf("%#v: %v, want %v", src, got, want.V)
		}
	}
}
