package presence

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func exec(db *database.DB, statement string, args ...any) error {
	return db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Exec(statement, args...).Error })
}

func TestStatuses(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		w.connect(0)
		d, _ := w.connect(1)
		d.Gone()
		ids := []string{"u2", "nobody", "u0", "u1", "u0", "U0", "u0 ", "ü", "", "a\xff"}
		want := []string{"UNLOGINED", "", "ONLINE", "OFFLINE", "ONLINE", "", "", "", "", ""}
		got, err := w.Statuses(context.Background(), w.app.ID, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			switch {
			case want[i] == "" && got[i] != nil:
				t.Errorf("%q is %+v, want no user", id, got[i])
			case want[i] != "" && (got[i] == nil || got[i].UserID != id || got[i].Presence.String() != want[i]):
				t.Errorf("%q is %+v, want %s", id, got[i], want[i])
			case got[i] != nil && (got[i].ChangedAt == nil) != (got[i].Presence == models.PresenceUnlogined):
				t.Errorf("%q is %s since %v", id, got[i].Presence, got[i].ChangedAt)
			}
		}
		foreign, err := w.Statuses(context.Background(), w.app.ID+1, []string{"u0"})
		if err != nil || foreign[0] != nil {
			t.Fatalf("another app sees %+v, %v", foreign[0], err)
		}
	})
}
