package database

import (
	"path/filepath"
	"testing"
)

// TestMigrate_AdminsBecomeOwners checks that operators may do the same after the migration, and not
// more after the migration back.
func TestMigrate_AdminsBecomeOwners(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pool, err := db.write.DB()
	if err != nil {
		t.Fatal(err)
	}
	provider, err := db.provider(pool)
	if err != nil {
		t.Fatal(err)
	}
	const before = 22
	if _, err := provider.UpTo(ctx, before); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.ExecContext(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	want := func(query, want string) {
		t.Helper()
		var got string
		if err := pool.QueryRowContext(ctx, query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", query, got, err, want)
		}
	}
	exec("INSERT INTO operators (name, password_hash, role, created_at) VALUES ('ada', '', 'admin', 0), ('vera', '', 'viewer', 0)")
	if _, err := provider.UpTo(ctx, before+1); err != nil {
		t.Fatal(err)
	}
	want("SELECT GROUP_CONCAT(name || ' ' || role || ' ' || all_apps || app_ids) FROM (SELECT * FROM operators ORDER BY id)", "ada owner 1,vera viewer 1")
	exec("INSERT INTO operators (name, password_hash, role, created_at) VALUES ('adam', '', 'admin', 0), ('mo', '', 'moderator', 0)")
	exec("INSERT INTO operators (name, password_hash, role, created_at, all_apps, app_ids) VALUES ('one', '', 'admin', 0, FALSE, '1,2')")
	exec("INSERT INTO operator_sessions (token_hash, operator_id, created_at, last_seen_at, address, user_agent) SELECT name, id, 0, 0, '', '' FROM operators")
	if _, err := provider.DownTo(ctx, before); err != nil {
		t.Fatal(err)
	}
	want("SELECT GROUP_CONCAT(name || ' ' || role) FROM (SELECT * FROM operators ORDER BY id)", "ada admin,vera viewer,adam viewer,mo viewer")
	want("SELECT COUNT(*) FROM operator_sessions", "4")
}
