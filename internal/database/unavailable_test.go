package database

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

func TestUnavailable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("something else"), false},
		{gorm.ErrDuplicatedKey, false},
		{&mysql.MySQLError{Number: 1064, Message: "syntax error"}, false},
		{&mysql.MySQLError{Number: 1146, Message: "no such table"}, false},
		{&mysql.MySQLError{Number: 1040, Message: "too many connections"}, true},
		{&mysql.MySQLError{Number: 1290, Message: "read-only"}, true},
		{&mysql.MySQLError{Number: 1836, Message: "read-only"}, true},
		{sqlite3.CONSTRAINT, false},
		{sqlite3.CORRUPT, false},
		{sqlite3.BUSY, true},
		{sqlite3.BUSY_TIMEOUT, true},
		{sqlite3.FULL, true},
		{sqlite3.IOERR_WRITE, true},
		{errGroup, true},
		{ErrLocked, true},
		{driver.ErrBadConn, true},
		{mysql.ErrInvalidConn, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
	} {
		if got := Unavailable(c.err); got != c.want {
			t.Errorf("Unavailable(%v) = %t, want %t", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if wrapped := fmt.Errorf("reading users: %w", c.err); Unavailable(wrapped) != c.want {
			t.Errorf("Unavailable(%v) = %t, want %t", wrapped, !c.want, c.want)
		}
	}
}
