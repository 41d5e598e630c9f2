package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitess.io/vitess/go/sqltypes"
	"vitess.io/vitess/go/vt/key"

	"rollcall/internal/userkey"
)

// created is the part of a log in which connection 5 creates tables.
const created = "261130 16:33:47\t     4 Connect\troot@localhost on  using Socket\n" +
	"\t\t     4 Query\tCREATE DATABASE t_1\n" +
	"\t\t     5 Connect\troot@localhost on t_1 using Socket\n" +
	"\t\t     5 Query\tCREATE TABLE users (id BIGINT PRIMARY KEY, app_id BIGINT, external_id VARCHAR(64))\n" +
	"\t\t     5 Query\tCREATE TABLE friendships (user_id BIGINT, friend_id BIGINT,\nPRIMARY KEY (user_id, friend_id))\n" +
	"\t\t     5 Query\tCREATE TABLE apps (id BIGINT PRIMARY KEY)\n"

// reportOf returns the report of a log in which the statements follow the tables.
func reportOf(t *testing.T, statements ...string) *report {
	t.Helper()
	path := filepath.Join(t.TempDir(), "general.log")
	log := created
	for _, statement := range statements {
		log += "\t\t     5 Query\t" + statement + "\n"
	}
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := newReport()
	if err == nil {
		err = r.read(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKinds(t *testing.T) {
	for _, test := range []struct {
		statement string
		want      kind
	}{
		{"SELECT id FROM apps WHERE id = 1", unsharded},
		{"SELECT * FROM friendships WHERE user_id = 1 AND friend_id = 2", oneShard},
		{"INSERT INTO friendships (user_id, friend_id) VALUES (1, 2)", oneShard},
		{"INSERT INTO friendships (user_id, friend_id) VALUES (1, 2), (2, 1)", someShards},
		{"SELECT friend_id FROM friendships WHERE user_id = 1 UNION ALL SELECT friend_id FROM friendships WHERE user_id = 2", someShards},
		{"SELECT * FROM users WHERE id IN (1, 2)", someShards},
		{"SELECT id FROM users WHERE app_id = 1 AND external_id = 'ann'", oneShard},
		{"SELECT id FROM users WHERE app_id = 1 AND external_id IN ('ann', 'bob')", someShards},
		{"INSERT INTO users (id, app_id, external_id) VALUES (1, 1, 'ann')", oneShard},
		{"SELECT friend_id FROM friendships f JOIN users u ON u.id = f.user_id WHERE f.user_id = 1", oneShard},
		{"SELECT u.id FROM friendships f JOIN users u ON u.id = f.friend_id WHERE f.user_id = 1", joined},
		{"SELECT q.n, u.id FROM (SELECT 0 AS n, 'ann' AS name UNION ALL SELECT 1, 'bob') q LEFT JOIN users u ON u.app_id = 1 AND u.external_id = q.name", joined},
		{"SELECT id FROM users WHERE (app_id, external_id) IN ((1, 'ann'), (1, 'bob'))", someShards},
		{"SELECT id FROM users WHERE app_id = 1 AND external_id = 'ann' OR app_id = 2 AND external_id = 'bob'", someShards},
		{"SELECT id FROM users WHERE app_id = 1 ORDER BY id LIMIT 20", allShards},
		{"SELECT COUNT(*) FROM users", wholeTables},
		{"SELECT COUNT(*) FROM friendships WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = friendships.friend_id)", unsupported},
	} {
		planned, err := reportOf(t, test.statement).plan()
		if err != nil {
			t.Fatal(err)
		}
		if len(planned[test.want]) != 1 || len(planned.all()) != 1 {
			t.Errorf("%s: %v, want it to be of the kind %q", test.statement, planned, test.want)
		}
	}
}

// TestVindexes: a user's row has the shard that its key, its ID and Vitess' check of both name.
func TestVindexes(t *testing.T) {
	app, external := sqltypes.NewInt64(7), sqltypes.NewVarChar("ann")
	id := sqltypes.NewInt64(userkey.New(7, "ann"))
	byKey, byID := keyVindex{"k"}, idVindex{"i"}
	of := func(found []key.ShardDestination, err error) string {
		t.Helper()
		at, ok := found[0].(key.DestinationKeyspaceID)
		if err != nil || !ok || len(at) != 2 {
			t.Fatalf("%v, %v", found, err)
		}
		return string(at)
	}
	at := of(byKey.Map(t.Context(), nil, []sqltypes.Value{id}))
	if other := of(byID.Map(t.Context(), nil, [][]sqltypes.Value{{app, external}})); other != at {
		t.Errorf("the key names %x, the ID %x", at, other)
	}
	elsewhere := string([]byte{at[0] ^ 1, at[1]})
	for _, ids := range [][]byte{[]byte(at), []byte(elsewhere)} {
		key, err := byKey.Verify(t.Context(), nil, []sqltypes.Value{id}, [][]byte{ids})
		id, err2 := byID.Verify(t.Context(), nil, [][]sqltypes.Value{{app, external}}, [][]byte{ids})
		if want := string(ids) == at; err != nil || err2 != nil || key[0] != want || id[0] != want {
			t.Errorf("%x is the user's: %t by its key, %t by its ID; want %t", ids, key[0], id[0], want)
		}
	}
	if found, err := byKey.Map(t.Context(), nil, []sqltypes.Value{sqltypes.NewVarChar("x")}); err != nil || found[0] != (key.DestinationNone{}) {
		t.Errorf("the key of no user is at %v, %v", found, err)
	}
}

func TestRead_TakesStatementsOfSameShapeOnce(t *testing.T) {
	r := reportOf(t,
		"INSERT INTO friendships (user_id, friend_id) VALUES (1, 2)",
		"INSERT INTO friendships (user_id, friend_id) VALUES (3, 4)",
		"INSERT INTO friendships (user_id, friend_id) VALUES (1, 2),(2, 1)",
		"INSERT INTO friendships (user_id, friend_id) VALUES (1, 2),(2, 1),(3, 4)",
		"CREATE TRIGGER broken BEFORE INSERT ON users FOR EACH ROW SIGNAL SQLSTATE '45000'",
		"SELECT id FROM users\nWHERE external_id = 'it''s'", "SELECT id FROM users\nWHERE external_id = 'ann'")
	planned, err := r.plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(planned.all()) != 3 || len(r.tables) != 3 || len(r.refused) != 0 {
		t.Errorf("%d tables, refused %v, statements %v", len(r.tables), r.refused, planned)
	}
}

func TestWrite_FailsForStatementThatIsNotParsed(t *testing.T) {
	err := reportOf(t, "ANALYZE TABLE users, friendships").write(new(strings.Builder))
	if err == nil || !strings.Contains(err.Error(), "ANALYZE TABLE users, friendships") {
		t.Errorf("error %v, want the statement", err)
	}
}
