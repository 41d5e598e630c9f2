package database

import "slices"

// watcher is called with each hand-written statement.
type watcher func(text string, args []any)

// Watch calls see with each hand-written statement that is run, until stop is called. GORM's
// callbacks, which see all other statements, do not see these. It is for tests that count or
// explain statements.
func (db *DB) Watch(see func(text string, args []any)) (stop func()) {
	w := watcher(see)
	db.changeWatchers(func(list []*watcher) []*watcher { return append(list, &w) })
	return func() {
		db.changeWatchers(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(other *watcher) bool { return other == &w })
		})
	}
}

// changeWatchers replaces the list by a changed copy.
func (db *DB) changeWatchers(change func([]*watcher) []*watcher) {
	for {
		old := db.watchers.Load()
		var list []*watcher
		if old != nil {
			list = slices.Clone(*old)
		}
		list = change(list)
		if db.watchers.CompareAndSwap(old, &list) {
			return
		}
	}
}

// saw calls the watchers with a statement.
func (db *DB) saw(text string, args []any) {
	list := db.watchers.Load()
	if list == nil {
		return
	}
	for _, see := range *list {
		(*see)(text, args)
	}
}
