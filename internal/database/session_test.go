package database_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

// otherDefaults are server defaults that change the meaning of statements.
const otherDefaults = `SET GLOBAL
	autocommit = 0,
	completion_type = 'CHAIN',
	sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL,NO_UNSIGNED_SUBTRACTION',
	time_zone = '-11:00',
	sql_select_limit = 1,
	sql_big_selects = 0,
	sql_safe_updates = 1,
	sql_auto_is_null = 1,
	max_sort_length = 64,
	foreign_key_checks = 0,
	in_predicate_conversion_threshold = 2,
	unique_checks = 0,
	default_storage_engine = 'Aria',
	innodb_lock_wait_timeout = 50,
	lock_wait_timeout = 3600,
	tx_isolation = 'READ-UNCOMMITTED',
	wsrep_sync_wait = 0,
	collation_server = 'latin1_swedish_ci',
	init_connect = 'SET NAMES latin2'`

// serverWithOtherDefaults starts a server with otherDefaults and returns the URL of an empty
// database on it.
func serverWithOtherDefaults(t *testing.T) string {
	t.Helper()
	// A server with --skip-character-set-client-handshake ignores the client's character set.
	testenv.NeedServer(t)
	server, err := testenv.StartMariaDB("--skip-character-set-client-handshake", "--character-set-server=latin1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	name, err := server.PlainDatabase()
	if err == nil {
		err = server.Exec(otherDefaults)
	}
	if err == nil {
		err = server.Exec("SET GLOBAL max_statement_time = 20")
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(server.URL(), "root@", name+"@", 1) + name
}

// TestSession_OnAServerWithOtherDefaults compares such a server with the usual one.
func TestSession_OnAServerWithOtherDefaults(t *testing.T) {
	testenv.NeedMariaDB(t)
	usual, other := testenv.Open(t, testenv.MySQLURL(t)), testenv.Open(t, serverWithOtherDefaults(t))
	t.Run("variables", func(t *testing.T) {
		names := []string{
			"autocommit", "completion_type", "sql_mode", "time_zone", "sql_select_limit", "sql_big_selects",
			"sql_safe_updates", "sql_auto_is_null", "max_sort_length", "foreign_key_checks", "unique_checks",
			"default_storage_engine", "innodb_lock_wait_timeout", "lock_wait_timeout", "tx_isolation",
			"wsrep_sync_wait", "max_statement_time", "in_predicate_conversion_threshold",
			"character_set_client", "character_set_connection", "character_set_results", "collation_connection",
		}
		for _, name := range names {
			if u, o := variable(t, usual, name), variable(t, other, name); u != o {
				t.Errorf("%s is %s, and usually %s", name, o, u)
			}
		}
		for name, want := range map[string]string{
			"autocommit": "1", "completion_type": "NO_CHAIN", "time_zone": "+00:00", "tx_isolation": "READ-COMMITTED",
			"sql_select_limit": "18446744073709551615", "collation_connection": "utf8mb4_bin", "wsrep_sync_wait": "7",
		} {
			if got := variable(t, other, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	})
	t.Run("schema", func(t *testing.T) {
		u, o := describeMySQL(t, usual), describeMySQL(t, other)
		rows(t, usual, "SELECT CONCAT(table_name, ' ', engine, ' ', table_collation) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'", &u)
		rows(t, other, "SELECT CONCAT(table_name, ' ', engine, ' ', table_collation) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'", &o)
		slices.Sort(u)
		slices.Sort(o)
		if !slices.Equal(u, o) {
			t.Errorf("the schema is\n%s\nand usually\n%s", strings.Join(o, "\n"), strings.Join(u, "\n"))
		}
		if version, err := other.Version(t.Context()); err != nil || version.Current != version.Latest {
			t.Errorf("version %+v, %v", version, err)
		}
		var engines []string
		rows(t, other, "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'goose%'", &engines)
		if !slices.Equal(engines, []string{"InnoDB"}) {
			t.Errorf("the versions are kept by %q", engines)
		}
	})
	t.Run("rules", func(t *testing.T) { tryRules(t, other) })
}

// TestSession_OnTiDBWithOtherDefaults: the variables that only TiDB has.
func TestSession_OnTiDBWithOtherDefaults(t *testing.T) {
	server := testenv.TiDB(t)
	for _, statement := range []string{
		"SET GLOBAL tidb_txn_mode = 'optimistic', tidb_constraint_check_in_place_pessimistic = 0, " +
			"tidb_low_resolution_tso = 1, tidb_enable_external_ts_read = 1, tidb_read_staleness = -5, " +
			"transaction_isolation = 'REPEATABLE-READ', max_execution_time = 1, time_zone = '-11:00'",
		"CREATE DATABASE rollcall",
	} {
		if err := server.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db, err := database.Open(t.Context(), server.URL()+"rollcall")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]string{
		"tidb_txn_mode": "pessimistic", "tidb_constraint_check_in_place_pessimistic": "1", "tidb_low_resolution_tso": "0",
		"tidb_enable_external_ts_read": "0", "tidb_read_staleness": "0",
		"transaction_isolation": "READ-COMMITTED", "max_execution_time": "0", "time_zone": "+00:00",
	} {
		if got := variable(t, db, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func variable(t *testing.T, db *database.DB, name string) string {
	t.Helper()
	var value string
	if err := db.Read(t.Context()).Raw("SELECT @@" + name).Scan(&value).Error; err != nil {
		t.Fatal(err)
	}
	return value
}

// tryRules runs rules whose statements depend on the session: texts with quotes, lists of more than
// one row, changes of many rows, and reads of these on another connection.
func tryRules(t *testing.T, db *database.DB) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := token.OpenKeys(t.Context(), db, "", time.Now)
	ok(err)
	friends := relations.New(db, &bus.Bus{}, keys.Secret(), time.Now)
	people := users.New(db, &bus.Bus{}, keys, friends, users.Options{})
	app, _, err := apps.New(db, &bus.Bus{}, keys, time.Now).Create(t.Context(), apps.NewApp{
		Name: `o'app"\ || x`, Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
	}, models.Actor{})
	ok(err)
	names := map[string]string{"a": `A\`, "b": `B'; --`, "c": `C"`, "d": `D\' || "x"`, "e": "E😀", "f": "Fé"}
	var list []users.Registration
	for id, name := range names {
		list = append(list, users.Registration{ID: id, Name: name})
	}
	_, err = people.RegisterMany(t.Context(), app, list)
	ok(err)
	ids := []string{"a", "b", "c", "d", "e", "f"}
	found, err := people.ByIDs(t.Context(), app.ID, ids)
	ok(err)
	for _, u := range found {
		if u == nil || u.Name != names[u.ExternalID] {
			t.Fatalf("found %+v, want %q", u, names)
		}
	}
	for _, id := range ids[1:] {
		_, err := friends.AddFriend(t.Context(), app, "a", id, nil)
		ok(err)
	}
	a, err := people.ByID(t.Context(), app.ID, "a")
	ok(err)
	all, err := friends.FriendIDs(t.Context(), a)
	ok(err)
	some, err := friends.Friends(t.Context(), a, page.Request{First: 3})
	ok(err)
	if len(all) != 5 || len(some.Nodes()) != 3 || a.FriendCount != 5 {
		t.Errorf("%d friends, %d of them on a page of 3, %d counted", len(all), len(some.Nodes()), a.FriendCount)
	}
	_, err = friends.AddToBlocklist(t.Context(), app, "a", ids[1:4])
	ok(err)
	blocked, err := friends.BlockedIDs(t.Context(), a)
	ok(err)
	if len(blocked) != 3 {
		t.Errorf("blocked %q", blocked)
	}
	_, err = people.Ban(t.Context(), app, ids[1:3], users.Sentence{Length: time.Hour}, models.Actor{})
	ok(err)
	banned, err := people.Banned(t.Context(), app, page.Request{First: 3})
	ok(err)
	if len(banned.Nodes()) != 2 {
		t.Errorf("%d are banned", len(banned.Nodes()))
	}
	matches, err := people.List(t.Context(), app, users.Filter{Search: `d\' ||`}, page.Request{First: 3})
	ok(err)
	if len(matches.Nodes()) != 1 {
		t.Errorf("%d have that name", len(matches.Nodes()))
	}
	results, err := people.Delete(t.Context(), app, ids, models.Actor{})
	ok(err)
	for _, r := range results {
		if r.Error != nil {
			t.Errorf("deleting %s: %v", r.UserID, r.Error)
		}
	}
}
