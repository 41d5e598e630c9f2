package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"SELECT id FROM users WHERE app_id = 1 AND external_id = 'ann'", someShards},
		{"SELECT u.id FROM friendships f JOIN users u ON u.id = f.friend_id WHERE f.user_id = 1", joined},
		{"SELECT q.n, u.id FROM (SELECT 0 AS n, 'ann' AS name UNION ALL SELECT 1, 'bob') q LEFT JOIN users u ON u.external_id = q.name", joined},
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
