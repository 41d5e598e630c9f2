package database_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestTx_RetriesAfterADeadlock makes two transactions lock two rows in opposite order. MySQL then rolls
// one of them back.
func TestTx_RetriesAfterADeadlock(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		for _, id := range []string{"a", "b"} {
			insertKey(t, db, id)
		}
		var attempts atomic.Int32
		// Both lock their first row before either locks its second. On SQLite the writers take
		// turns, so the first one must not wait for the second.
		var both sync.WaitGroup
		both.Add(2)
		lock := func(first, second string) error {
			var once sync.Once
			return db.Tx(context.Background(), func(tx *gorm.DB) error {
				attempts.Add(1)
				if err := touch(tx, first); err != nil {
					return err
				}
				if db.Dialect() == database.MySQL {
					once.Do(func() { both.Done(); both.Wait() })
				}
				return touch(tx, second)
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := lock("a", "b"); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := lock("b", "a"); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if db.Dialect() == database.MySQL && attempts.Load() < 3 {
			t.Errorf("%d attempts: there was no deadlock to survive", attempts.Load())
		}
		var sum int64
		if err := db.Read(context.Background()).Raw("SELECT SUM(created_at) FROM token_keys").Scan(&sum).Error; err != nil || sum != 4 {
			t.Errorf("the rows were touched %d times (%v), want 4", sum, err)
		}
	})
}

func TestTx_RollsBackOnError(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		insertKey(t, db, "a")
		boom := errors.New("boom")
		err := db.Tx(context.Background(), func(tx *gorm.DB) error {
			if err := touch(tx, "a"); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("error %v", err)
		}
		var key models.TokenKey
		if err := db.Read(context.Background()).Take(&key).Error; err != nil || key.CreatedAt != 0 {
			t.Errorf("created_at %d (%v), want the change undone", key.CreatedAt, err)
		}
	})
}

func TestReadCannotWriteOnSQLite(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	if err := db.Read(context.Background()).Exec("DELETE FROM users").Error; err == nil {
		t.Error("a read handle deleted")
	}
}

func insertKey(t *testing.T, db *database.DB, id string) {
	t.Helper()
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Create(&models.TokenKey{ID: id, Secret: []byte{1}}).Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

func touch(tx *gorm.DB, id string) error {
	return tx.Exec("UPDATE token_keys SET created_at = created_at + 1 WHERE id = ?", id).Error
}
