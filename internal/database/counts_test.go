package database

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestMigrate_KeepsCountsOfUsers: an app of an earlier release has its count in one row. The
// migration adds the parts for an app without a limit, and the migration back loses nothing.
func TestMigrate_KeepsCountsOfUsers(t *testing.T) {
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
	const before = 6
	if _, err := provider.UpTo(ctx, before); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.ExecContext(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	apps := []struct{ environment, edition string }{{"PRODUCTION", "FLAGSHIP"}, {"PRODUCTION", "STANDARD"}, {"DEVELOPMENT", "PREMIUM"}, {"PRODUCTION", "PREMIUM"}}
	for i, app := range apps {
		exec(`INSERT INTO apps (id, "key", name, environment, edition, secret_hash, secret_generation, user_limit, registered_user_count, deactivated_user_count,
				status_query_enabled, friend_status_notify_enabled, only_friends_can_message, friend_limit, blocklist_limit, whitelist_limit, status_subscription_limit, created_at)
			VALUES (?, ?, ?, ?, ?, '', 0, 0, 10, 3, 0, 0, 0, 0, 0, 0, 0, 0)`, i+1, fmt.Sprint("key", i), fmt.Sprint("name", i), app.environment, app.edition)
	}
	if _, err := provider.UpTo(ctx, before+1); err != nil {
		t.Fatal(err)
	}
	want := func(query, want string) {
		t.Helper()
		var got string
		if err := pool.QueryRowContext(ctx, query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", query, got, err, want)
		}
	}
	want("SELECT GROUP_CONCAT(app_id || ': ' || n) FROM (SELECT app_id, COUNT(*) AS n FROM user_count_parts WHERE registered = 0 AND deactivated = 0 GROUP BY app_id ORDER BY app_id)", "1: 64,4: 64")
	exec("UPDATE user_count_parts SET registered = 2, deactivated = -1 WHERE app_id = 1 AND part IN (0, 63)")
	if _, err := provider.DownTo(ctx, before); err != nil {
		t.Fatal(err)
	}
	want("SELECT GROUP_CONCAT(registered_user_count || '/' || deactivated_user_count) FROM (SELECT * FROM apps ORDER BY id)", "14/1,10/3,10/3,10/3")
}
