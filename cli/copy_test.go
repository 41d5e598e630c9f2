package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/testenv"
)

// TestCopy moves a service from SQLite to MariaDB: a token from before works on the copy.
func TestCopy(t *testing.T) {
	from, to := testenv.SQLiteURL(t), testenv.MySQLURL(t)
	file := filepath.Join(t.TempDir(), "to") // a URL with a password need not be an argument
	if err := os.WriteFile(file, []byte(to+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, from)
	app := n.bearer()
	ann := regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(n.ask(app, `mutation {
		registerUser(input: {id: "ann", name: "Ann 😀"}) { token }
		bob: registerUser(input: {id: "bob", name: "Bob"}) { created }
		addFriend(input: {userId: "ann", friendId: "bob", remark: "from school"}) { created }
		banUsers(input: {userIds: ["bob"], minutes: 60}) { results { userId } }
	}`))[1]
	const me = `{ me { name friends(first: 5) { nodes { remark user { name } } } } }`
	before := n.ask(ann, me)
	if status, _, errs := run(t, "", "copy", from, "@"+file); status != exitFailure || !strings.Contains(errs, "stop all servers before a copy") {
		t.Errorf("beside a server: %d, %s", status, errs)
	}
	n.end()
	if status, _, errs := run(t, "", "copy", from, "@"+file); status != exitFailure || !strings.Contains(errs, "run `rollcall migrate up`") {
		t.Errorf("to a database without a schema: %d, %s", status, errs)
	}
	if status, _, errs := run(t, "", "migrate", "up", "--database-url", to); status != exitOK {
		t.Fatal(errs)
	}
	status, out, errs := run(t, "", "copy", "--json", from, "@"+file)
	var tables []copiedJSON
	if err := json.Unmarshal([]byte(out), &tables); status != exitOK || err != nil {
		t.Fatalf("%d, %s%s, %v", status, out, errs, err)
	}
	rows := make(map[string]int64)
	for _, one := range tables {
		rows[one.Table] = one.Rows
	}
	if rows["users"] != 2 || rows["apps"] != 2 || rows["operators"] != 1 || rows["friendships"] != 2 {
		t.Errorf("the tables are %v", rows)
	}
	if status, _, errs := run(t, "", "copy", from, "@"+file); status != exitFailure || !strings.Contains(errs, "is not empty") {
		t.Errorf("to a copy: %d, %s", status, errs)
	}
	if status, _, errs := run(t, "", "copy", "sqlite:/no/such.db", to); status != exitUsage || !strings.Contains(errs, "FROM: stat /no/such.db") {
		t.Errorf("a file that does not exist: %d, %s", status, errs)
	}

	n = start(t, to)
	if after := n.ask(ann, me); after != before || !strings.Contains(after, "from school") {
		t.Errorf("the copy has %s, want %s", after, before)
	}
	if banner := n.banner(); strings.Contains(banner, "Password") {
		t.Errorf("the copy has no operators:\n%s", banner)
	}
}
