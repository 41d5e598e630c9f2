package users

import (
	"context"
	"slices"
	"sync"

	"gorm.io/gorm"
)

// statement is what a database was asked to do.
type statement struct {
	sql  string
	vars []any
}

// recorder answers a function that answers every statement of what it is given to
// do. It is for one goroutine's use, whatever do does.
func (w *world) recorder() (statements func(do func()) []statement) {
	w.t.Helper()
	var mu sync.Mutex
	var on bool
	var list []statement
	note := func(db *gorm.DB) {
		mu.Lock()
		defer mu.Unlock()
		if on && !db.DryRun { // else it is a part of another statement
			list = append(list, statement{db.Statement.SQL.String(), slices.Clone(db.Statement.Vars)})
		}
	}
	w.t.Cleanup(w.db.Watch(func(text string, args []any) {
		mu.Lock()
		defer mu.Unlock()
		if on {
			list = append(list, statement{text, args})
		}
	}))
	handles := []*gorm.DB{w.db.Read(context.Background())}
	err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
		if tx.Callback() != handles[0].Callback() {
			handles = append(handles, tx)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, db := range handles {
		for _, register := range []func(string, func(*gorm.DB)) error{
			db.Callback().Create().After("gorm:create").Register,
			db.Callback().Query().After("gorm:query").Register,
			db.Callback().Update().After("gorm:update").Register,
			db.Callback().Delete().After("gorm:delete").Register,
			db.Callback().Row().After("gorm:row").Register,
			db.Callback().Raw().After("gorm:raw").Register,
		} {
			if err := register("record", note); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	turn := func(to bool) []statement {
		mu.Lock()
		defer mu.Unlock()
		answer := list
		on, list = to, nil
		return answer
	}
	return func(do func()) []statement {
		turn(true)
		do()
		return turn(false)
	}
}
