package database_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// replicaWorld is a database with a replica.
type replicaWorld struct {
	*testing.T
	servers *testenv.Replicated
	name    string
	link    *testenv.Proxy
	db      *database.DB
	log     *testenv.Log
	metrics *prometheus.Registry
}

func newReplicaWorld(t *testing.T, maxLag time.Duration) *replicaWorld {
	t.Helper()
	database.LookOften()
	w := &replicaWorld{T: t, servers: testenv.NewReplicated(t), log: new(testenv.Log), metrics: prometheus.NewRegistry()}
	name, url, link, replicaURL := w.servers.Database(t)
	w.name, w.link, w.db = name, link, testenv.Open(t, url)
	err := w.db.UseReplica(t.Context(), replicaURL, database.ReplicaOptions{MaxLag: maxLag, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.db.Observe(w.metrics)
	return w
}

// socket returns the socket of the server that a read of the context reaches.
func (w *replicaWorld) socket(ctx context.Context) string {
	w.Helper()
	var viaGORM, written string
	if err := w.db.Read(ctx).Raw("SELECT @@socket").Scan(&viaGORM).Error; err != nil {
		w.Fatal(err)
	}
	err := w.db.NewQuery("SELECT @@socket").Each(ctx, nil, []any{&written}, func() {})
	if err != nil {
		w.Fatal(err)
	}
	if viaGORM != written {
		return "both"
	}
	return viaGORM
}

// uses waits until late reads reach the server, and checks that others reach the primary.
func (w *replicaWorld) uses(server *testenv.MariaDB) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		late, prompt := w.socket(database.Late(w.Context())), w.socket(w.Context())
		if prompt != w.servers.Primary.Socket() {
			w.Fatalf("a read without the mark reached %s", prompt)
		}
		if late == server.Socket() {
			break
		}
		if time.Now().After(deadline) {
			w.Fatalf("late reads reach %s, want %s; log:\n%s", late, server.Socket(), w.log)
		}
	}
	usable := 0.0
	if server == w.servers.Replica {
		usable = 1
	}
	families, err := w.metrics.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, family := range families {
		if value := family.GetMetric()[0].GetGauge().GetValue(); family.GetName() == "rollcall_database_replica_usable" && value != usable {
			w.Errorf("rollcall_database_replica_usable is %v, want %v", value, usable)
		}
	}
}

// logs waits until the log has the text.
func (w *replicaWorld) logs(text string) {
	w.Helper()
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(w.log.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("the log lacks %q:\n%s", text, w.log)
		}
	}
}

// TestReplica_LateReadsOnly: only reads with the mark reach the replica, and no change does.
func TestReplica_LateReadsOnly(t *testing.T) {
	w := newReplicaWorld(t, time.Minute)
	w.uses(w.servers.Replica)
	// A row that only the replica has.
	administer(t, w.servers.Replica, "INSERT INTO "+w.name+".token_keys (id, secret, created_at) VALUES ('there', '', 0)")
	late := database.Late(t.Context())
	count := func(ctx context.Context) (n int) {
		t.Helper()
		if err := w.db.Read(ctx).Raw("SELECT COUNT(*) FROM token_keys").Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
		return n
	}
	if here, there := count(t.Context()), count(late); here != 0 || there != 1 {
		t.Errorf("%d rows at the primary, %d at the replica", here, there)
	}
	fetch := database.Fetcher(w.db, database.Lookup[string, string]{
		What: "keys", Text: func(n int) string {
			return "SELECT id, @@socket FROM token_keys WHERE id IN (?" + strings.Repeat(", ?", n-1) + ")"
		},
		Bind: func(args []any, key string) []any { return append(args, key) },
		Rows: func([]string) ([]any, func() (string, string)) {
			var id, socket string
			return []any{&id, &socket}, func() (string, string) { return id, socket }
		},
	})
	if _, found, err := database.NewCoalescer(10, fetch).Get(late, "there"); found || err != nil {
		t.Errorf("a shared read reached the replica: %v", err)
	}
	if err := w.db.Read(late).Exec("DELETE FROM token_keys").Error; err == nil {
		t.Error("a change by a handle for late reads was accepted")
	}
	// As a replica that an operator forgot to make read-only.
	administer(t, w.servers.Replica, "SET GLOBAL read_only = 0")
	defer administer(t, w.servers.Replica, "SET GLOBAL read_only = 1")
	if err := w.db.AtReplica(t.Context(), "DELETE FROM token_keys"); err == nil || !strings.Contains(err.Error(), "1792") {
		t.Errorf("a change on a session of the replica: %v", err)
	}
	if n := count(late); n != 1 {
		t.Errorf("%d rows at the replica", n)
	}
	if err := w.db.Exec(late, "INSERT INTO token_keys (id, secret, created_at) VALUES ('here', '', 0)"); err != nil {
		t.Error(err)
	}
}

// TestReplica_Lag: a replica that no longer applies changes is not used once it is too late.
func TestReplica_Lag(t *testing.T) {
	w := newReplicaWorld(t, time.Second)
	w.uses(w.servers.Replica)
	administer(t, w.servers.Replica, "STOP SLAVE SQL_THREAD")
	started := false
	start := func() {
		if !started {
			administer(t, w.servers.Replica, "START SLAVE SQL_THREAD")
			started = true
		}
	}
	defer start()
	w.uses(w.servers.Primary)
	w.logs("it is too late")
	start()
	w.uses(w.servers.Replica)
	for deadline := time.Now().Add(5 * time.Second); strings.Count(w.log.String(), "use the replica") < 2 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	for text, want := range map[string]int{"use the replica": 2, "it is too late": 1} {
		if n := strings.Count(w.log.String(), text); n != want {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, n, want, w.log)
		}
	}
}

// TestReplica_Lost: no read fails because the replica goes away, closes its connections or falls
// silent, and it is used again when it is back.
func TestReplica_Lost(t *testing.T) {
	w := newReplicaWorld(t, time.Minute)
	for name, lose := range map[string]func(){
		"gone":   func() { w.link.Retarget("/nowhere") },
		"silent": w.link.Cut,
	} {
		t.Run(name, func(t *testing.T) {
			w.uses(w.servers.Replica)
			late := database.Late(t.Context())
			reading := make(chan error)
			go func() {
				// A replica is lost while it is still reading.
				var n int
				reading <- w.db.Read(late).Raw("SELECT SLEEP(IF(@@socket = ?, 1, 0)) FROM dual", w.servers.Replica.Socket()).Scan(&n).Error
			}()
			ends := time.After(200 * time.Millisecond)
			for waiting := true; waiting; {
				select {
				case <-ends:
					waiting = false
				default:
					w.socket(late)
				}
			}
			began := time.Now()
			lose()
			// As long as a page of the console may take. It ends the test if a read fails.
			page, cancel := context.WithTimeout(late, 2500*time.Millisecond)
			defer cancel()
			for range 20 {
				w.socket(page)
			}
			if err := <-reading; err != nil {
				t.Errorf("a read that was running: %v", err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("the reads took %s", took)
			}
			w.uses(w.servers.Primary)
			w.link.Heal()
			w.link.Retarget(w.servers.Replica.Socket())
			w.uses(w.servers.Replica)
		})
	}
}

// TestReplica_OldSchema: a replica without the newest migration is not used.
func TestReplica_OldSchema(t *testing.T) {
	w := newReplicaWorld(t, time.Minute)
	w.uses(w.servers.Replica)
	var latest int64
	if err := w.db.Read(t.Context()).Raw("SELECT MAX(version_id) FROM goose_db_version").Scan(&latest).Error; err != nil {
		t.Fatal(err)
	}
	administer(t, w.servers.Replica, fmt.Sprintf("UPDATE %s.goose_db_version SET version_id = -version_id WHERE version_id = %d", w.name, latest))
	w.uses(w.servers.Primary)
	w.logs("its schema is older")
	administer(t, w.servers.Replica, fmt.Sprintf("UPDATE %s.goose_db_version SET version_id = -version_id WHERE version_id = -%d", w.name, latest))
	w.uses(w.servers.Replica)
}

// TestReplica_Refusal: a replica that refuses a read that the primary accepts, as without the rights for
// a table, is not used for a while.
func TestReplica_Refusal(t *testing.T) {
	w := newReplicaWorld(t, time.Minute)
	w.uses(w.servers.Replica)
	move := func(from, to string) {
		t.Helper()
		administer(t, w.servers.Replica, fmt.Sprintf("RENAME TABLE %s.%s TO %s.%s", w.name, from, w.name, to))
	}
	move("token_keys", "hidden")
	var n int
	read := func(column string) error {
		return w.db.Read(database.Late(t.Context())).Raw("SELECT COUNT(" + column + ") FROM token_keys").Scan(&n).Error
	}
	if err := read("id"); err != nil {
		t.Error(err)
	}
	w.uses(w.servers.Primary)
	w.logs("refuses a read")
	w.logs("token_keys")
	move("hidden", "token_keys")
	w.uses(w.servers.Replica)
	if err := read("nothing"); err == nil {
		t.Error("a statement without meaning was accepted")
	}
	w.uses(w.servers.Replica) // which both refuse, so the replica is not to blame
}

// TestReplica_AwayAtTheStart: a node starts without its replica.
func TestReplica_AwayAtTheStart(t *testing.T) {
	database.LookOften()
	db := testenv.Open(t, testenv.MySQLURL(t))
	err := db.UseReplica(t.Context(), "mysql://rollcall@127.0.0.1:1/rollcall", database.ReplicaOptions{MaxLag: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var one int
	if err := db.Read(database.Late(t.Context())).Raw("SELECT 1").Scan(&one).Error; err != nil || one != 1 {
		t.Error(one, err)
	}
}

func TestCheckReplica(t *testing.T) {
	for url, says := range map[string]string{
		"sqlite:replica.db":      "must start with mysql://",
		"mysql://u:p@a,b/name":   "a replica is one server",
		"mysql://u:secret@h:x/n": "",
	} {
		err := database.CheckReplica(url, database.ReplicaOptions{})
		if _, ok := errors.AsType[*database.URLError](err); !ok || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := testenv.Open(t, testenv.SQLiteURL(t)).UseReplica(t.Context(), "mysql://u@h/n", database.ReplicaOptions{}); err == nil {
		t.Error("SQLite has a replica")
	}
}
