package subscriptions

import (
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

func TestExcess_CountsTheNewestUsersThatHaveMore(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 5) // the last one is the newest
		w.subscribe(1, 2, 3)
		w.subscribe(3, 0, 1, 2)
		w.subscribe(4, 0)
		for _, test := range []struct {
			limit, users, rows, want int
			all                      bool
		}{
			{limit: 1, users: 6, rows: 7, want: 2, all: true},
			{limit: 2, users: 6, rows: 7, want: 1, all: true},
			{limit: 3, users: 6, rows: 7, want: 0, all: true},
			{limit: 1, users: 5, rows: 7, want: 2},
			{limit: 1, users: 2, rows: 7, want: 1},
			{limit: 1, users: 6, rows: 6, want: 2},
			{limit: 1, users: 6, rows: 3, want: 1}, // one of the newest, and two of the next
		} {
			got, all, err := w.excess(t.Context(), w.appNow(), test.limit, test.users, test.rows)
			if err != nil || got != test.want || all != test.all {
				t.Errorf("%+v: %d, %t, %v", test, got, all, err)
			}
		}
	})
}
