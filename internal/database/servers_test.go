package database_test

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// changes waits until the database accepts a change.
func changes(t *testing.T, db *database.DB) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("DELETE FROM token_keys").Error })
		if err == nil {
			return
		}
		if !database.Unavailable(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestServers_OneInUse: of several servers, the first that accepts changes is used by all sessions
// until it becomes read-only or is gone; then another one is, and the former is not used again when it
// is back.
func TestServers_OneInUse(t *testing.T) {
	first, second, link, url := primaries(t)
	other := testenv.NewProxy(t, second.Socket())
	url = strings.Replace(url, link.Address(), link.Address()+","+other.Address(), 1)
	uses := func(db *database.DB, want *testenv.MariaDB) {
		t.Helper()
		changes(t, db)
		for range 5 {
			if got := server(t, db); got != want.Socket() {
				t.Fatalf("a read reached %s, want %s", got, want.Socket())
			}
		}
	}
	administer(t, first, "SET GLOBAL read_only = 1")
	db := testenv.Open(t, url)
	uses(db, second)
	lock, err := db.NodeLock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if !taken(t, lock) {
		t.Fatal("the lock is not free")
	}
	fill(t, db, 10)

	// An attempt whose caller has gone away says nothing about the server.
	administer(t, first, "SET GLOBAL read_only = 0")
	db.Search()
	uses(db, second)
	administer(t, first, "SET GLOBAL read_only = 1")

	administer(t, second, "SET GLOBAL read_only = 1")
	_, err = database.Open(t.Context(), url)
	if err == nil || !database.Unavailable(err) || strings.Count(err.Error(), "read-only") != 2 {
		t.Errorf("no server accepts changes: %v", err)
	}
	administer(t, first, "SET GLOBAL read_only = 0")
	uses(db, first)
	if !taken(t, lock) {
		t.Error("the node's lock was not taken on the new server")
	}
	administer(t, second, "SET GLOBAL read_only = 0")
	uses(db, first)

	fill(t, db, 10)
	link.Retarget("/nowhere") // the first is gone
	uses(db, second)
	link.Retarget(second.Socket())
	uses(db, second)
}

// TestServers_SilentOne: a server that does not respond at all does not keep another one from being
// used.
func TestServers_SilentOne(t *testing.T) {
	url := testenv.MySQLURL(t)
	socket := url[strings.Index(url, "(")+1 : strings.Index(url, ")")]
	silent, link := testenv.NewProxy(t, socket), testenv.NewProxy(t, socket)
	silent.Cut()
	began := time.Now()
	db, err := database.Open(t.Context(), strings.Replace(url, "unix("+socket+")", silent.Address()+","+link.Address(), 1))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestGaleraServers: a node leaves a member that is cut off from its cluster.
func TestGaleraServers(t *testing.T) {
	members := testenv.Galera(t, 3)
	name, err := members[0].PlainDatabase()
	if err != nil {
		t.Fatal(err)
	}
	testenv.Open(t, strings.Replace(members[0].URL(), "root@", name+"@", 1)+name)
	var addresses []string
	for _, member := range members {
		addresses = append(addresses, testenv.NewProxy(t, member.Socket()).Address())
	}
	db := testenv.Open(t, "mysql://"+name+"@"+strings.Join(addresses, ",")+"/"+name)
	changes(t, db)
	if got := server(t, db); got != members[0].Socket() {
		t.Fatalf("a read reached %s", got)
	}
	administer(t, members[0], "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
	began := time.Now()
	for changes(t, db); server(t, db) != members[1].Socket(); changes(t, db) {
		if time.Since(began) > time.Minute { // the member itself needs some seconds to notice
			t.Fatal("the member that was cut off is still in use")
		}
	}
	administer(t, members[0], "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
	changes(t, db)
	if got := server(t, db); got != members[1].Socket() {
		t.Errorf("a read reached %s", got)
	}
}
