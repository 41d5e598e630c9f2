package database

import (
	"context"
	"crypto/md5"
	"database/sql"
	"fmt"
)

// lockName returns the name of the lock for a purpose in the session's database. It contains the
// database's name, because a lock belongs to the server: hashed, because a lock's name has at most 64
// characters, and not by the server, because MySQL has no MD5 since 9.6.
func lockName(ctx context.Context, session *sql.Conn, purpose string) (string, error) {
	var name string
	if err := session.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&name); err != nil {
		return "", err
	}
	return fmt.Sprintf("rollcall.%s.%x", purpose, md5.Sum([]byte(name))), nil
}
