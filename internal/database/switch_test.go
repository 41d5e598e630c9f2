package database_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// primaries returns two servers with the same empty schema, and a link that leads to the first.
func primaries(t *testing.T) (first, second *testenv.MariaDB, link *testenv.Proxy, url string) {
	t.Helper()
	var servers [2]*testenv.MariaDB
	var name string
	for i := range servers {
		testenv.NeedServer(t)
		server, err := testenv.StartMariaDB()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		if name, err = server.PlainDatabase(); err != nil {
			t.Fatal(err)
		}
		testenv.Open(t, strings.Replace(server.URL(), "root@", name+"@", 1)+name)
		servers[i] = server
	}
	link = testenv.NewProxy(t, servers[0].Socket())
	return servers[0], servers[1], link, "mysql://" + name + "@" + link.Address() + "/" + name
}

// fill opens n connections of db's pool, which are then idle.
func fill(t *testing.T, db *database.DB, n int) {
	t.Helper()
	var all, wg sync.WaitGroup
	all.Add(n)
	for range n {
		wg.Go(func() {
			err := db.Tx(t.Context(), func(*gorm.DB) error {
				all.Done()
				all.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func administer(t *testing.T, server *testenv.MariaDB, statement string) {
	t.Helper()
	if err := server.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// server returns the socket of the server that a read reaches.
func server(t *testing.T, db *database.DB) string {
	t.Helper()
	var socket string
	if err := db.Read(t.Context()).Raw("SELECT @@socket").Scan(&socket).Error; err != nil {
		t.Fatal(err)
	}
	return socket
}

func addKey(id string) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error { return tx.Create(&models.TokenKey{ID: id, Secret: []byte{1}}).Error }
}

// TestSwitch_OfThePrimary: the old primary becomes read-only and keeps its connections, and new
// connections reach the new one.
func TestSwitch_OfThePrimary(t *testing.T) {
	first, second, link, url := primaries(t)
	db := testenv.Open(t, url)
	lock, err := db.NodeLock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if !taken(t, lock) {
		t.Fatal("the lock is not free")
	}
	fill(t, db, 20)
	if err := db.Exec(t.Context(), "INSERT INTO token_keys (id, secret, created_at) VALUES ('before', '', 0)"); err != nil {
		t.Fatal(err)
	}

	t.Run("no primary", func(t *testing.T) {
		administer(t, first, "SET GLOBAL read_only = 1")
		defer administer(t, first, "SET GLOBAL read_only = 0")
		for _, write := range []func() error{
			func() error { return db.Tx(t.Context(), addKey("refused")) },
			func() error { return db.Exec(t.Context(), "DELETE FROM token_keys") },
		} {
			began := time.Now()
			err := write()
			my, ok := errors.AsType[*mysql.MySQLError](err)
			if !ok || my.Number != 1290 || !database.Unavailable(err) {
				t.Errorf("a write on a read-only server: %v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it failed after %s", took)
			}
		}
	})
	if err := db.Tx(t.Context(), addKey("again")); err != nil {
		t.Fatalf("the same server takes changes again, but a write fails: %v", err)
	}

	for _, test := range []struct {
		name  string
		write func(id string, change func()) error
	}{
		{"before a transaction", func(id string, change func()) error {
			change()
			return db.Tx(t.Context(), addKey(id))
		}},
		{"before a statement", func(id string, change func()) error {
			change()
			return db.Exec(t.Context(), "INSERT INTO token_keys (id, secret, created_at) VALUES (?, '', 0)", id)
		}},
		{"in a transaction", func(id string, change func()) error {
			return db.Tx(t.Context(), func(tx *gorm.DB) error {
				change()
				return addKey(id)(tx)
			})
		}},
		{"before the commit", func(id string, change func()) error {
			return db.Tx(t.Context(), func(tx *gorm.DB) error {
				defer change()
				return addKey(id)(tx)
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, next := first, second
			fill(t, db, 20)
			change := sync.OnceFunc(func() {
				administer(t, old, "SET GLOBAL read_only = 1")
				link.Lead(next.Socket())
			})
			// Shortly after another switch, the caller may have to try again.
			err := test.write(test.name, change)
			for deadline := time.Now().Add(30 * time.Second); database.Unavailable(err) && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
				err = test.write(test.name, change)
			}
			if err != nil {
				t.Fatalf("a write after the switch: %v", err)
			}
			var rows int
			if err := db.Read(t.Context()).Raw("SELECT COUNT(*) FROM token_keys WHERE id = ?", test.name).Scan(&rows).Error; err != nil || rows != 1 {
				t.Errorf("%d rows, %v", rows, err)
			}
			for range 20 {
				if got := server(t, db); got != next.Socket() {
					t.Fatal("a read reached the old primary")
				}
			}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					var socket string
					if err := db.Read(t.Context()).Raw("SELECT @@socket FROM (SELECT SLEEP(0.1)) AS pause").Scan(&socket).Error; err != nil || socket != next.Socket() {
						t.Errorf("a read reached %s, %v", socket, err)
					}
				})
			}
			wg.Wait()
			if !taken(t, lock) {
				t.Error("the node's lock was not taken on the new primary")
			}
			administer(t, old, "SET GLOBAL read_only = 0")
			first, second = next, old
		})
	}
}

// TestTooManyConnections: a server with a lower limit of connections than the pool serves all
// callers.
func TestTooManyConnections(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	name, err := server.PlainDatabase()
	if err != nil {
		t.Fatal(err)
	}
	db := testenv.Open(t, strings.Replace(server.URL(), "root@", name+"@", 1)+name)
	administer(t, server, "ALTER USER "+name+" WITH MAX_USER_CONNECTIONS 4")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if err := db.Tx(t.Context(), addKey(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
