package database_test

import (
	"context"
	"errors"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// TestCommits_TellsWhatHasBecomeOfChanges: a caller that gives up before a commit is certain that
// nothing follows.
func TestCommits_TellsWhatHasBecomeOfChanges(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		insert := "INSERT INTO service_nodes (id, name, place, version, stopping, devices, database_micros, redis_micros, started_at, seen_at) VALUES (?, '', '', '', FALSE, 0, 0, 0, 0, 0)"
		there := func(id int) bool {
			var n int64
			if err := db.Read(t.Context()).Table("service_nodes").Where("id = ?", id).Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			return n > 0
		}
		for id, change := range map[int]func(ctx context.Context, id int, during func()) error{
			1: func(ctx context.Context, id int, during func()) error {
				return db.Tx(ctx, func(tx *gorm.DB) error {
					err := tx.Exec(insert, id).Error
					during()
					return err
				})
			},
			2: func(ctx context.Context, id int, during func()) error {
				during()
				return db.Exec(ctx, insert, id)
			},
		} {
			var abandoned database.Commits
			err := change(abandoned.Context(t.Context()), id, func() {
				if fate := abandoned.GiveUp(); fate != database.Nothing {
					t.Errorf("%d: given up before the commit: %v", id, fate)
				}
			})
			if !errors.Is(err, context.DeadlineExceeded) || there(id) || abandoned.GiveUp() != database.Nothing {
				t.Errorf("%d: %v, there: %v", id, err, there(id))
			}
			var done database.Commits
			if err := change(done.Context(t.Context()), id, func() {}); err != nil || !there(id) || done.GiveUp() != database.Committed {
				t.Errorf("%d: %v, there: %v", id, err, there(id))
			}
			// It was not a change of its own, and another may follow.
			failed := errors.New("refused")
			if err := db.Tx(done.Context(t.Context()), func(*gorm.DB) error { return failed }); err != failed || done.GiveUp() != database.Committed {
				t.Errorf("%d: %v", id, err)
			}
		}
		// A rehearsal finds what is wrong, and changes nothing.
		rehearsal := database.Rehearsal()
		ctx := rehearsal.Context(t.Context())
		wrong := errors.New("wrong")
		if err := db.Tx(ctx, func(*gorm.DB) error { return wrong }); err != wrong || rehearsal.Refused() {
			t.Errorf("a wrong change: %v", err)
		}
		ran := false
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			ran = true
			return tx.Exec(insert, 3).Error
		})
		if !errors.Is(err, database.ErrRehearsed) || !ran || there(3) || !rehearsal.Refused() {
			t.Errorf("a rehearsed transaction: %v, there: %v", err, there(3))
		}
		if err := db.Exec(ctx, insert, 4); !errors.Is(err, database.ErrRehearsed) || there(4) {
			t.Errorf("a rehearsed statement: %v, there: %v", err, there(4))
		}
	})
}
