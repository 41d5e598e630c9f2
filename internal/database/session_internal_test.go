package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// server is a connection to a server that knows only some variables.
type server struct {
	mysqlConn
	unknown map[string]uint16 // variables, each with the error number of setting it
	set     []string
}

func (s *server) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	for name, number := range s.unknown {
		if strings.Contains(query, name) {
			return nil, &mysql.MySQLError{Number: number}
		}
	}
	s.set = append(s.set, query)
	return driver.ResultNoRows, nil
}

func TestSession_OnServersThatDoNotKnowAllVariables(t *testing.T) {
	for _, test := range []struct {
		name    string
		unknown map[string]uint16
		want    []string
		fails   bool
	}{
		{"all known", nil, []string{"SET a = 1, b = 2, c = 3", isolation, galeraVariables}, false},
		{"no Galera", map[string]uint16{"wsrep": 1193}, []string{"SET a = 1, b = 2, c = 3", isolation}, false},
		{"one unknown", map[string]uint16{"b =": 1193, "wsrep": 1193}, []string{"SET a = 1", "SET c = 3", isolation}, false},
		{"one for compatibility", map[string]uint16{"c =": 1235}, []string{"SET a = 1", "SET b = 2", isolation, galeraVariables}, false},
		{"a wrong value", map[string]uint16{"b =": 1231}, nil, true},
		{"no isolation", map[string]uint16{"ISOLATION": 1193}, []string{"SET a = 1, b = 2, c = 3"}, true},
	} {
		s := &server{unknown: test.unknown}
		err := (&session{mysqlConn: s}).prepare(t.Context(), []string{"a = 1", "b = 2", "c = 3"})
		if !slices.Equal(s.set, test.want) || (err != nil) != test.fails {
			t.Errorf("%s: set %q, error %v", test.name, s.set, err)
		}
	}
}

// TestConnector_RenewsAllSessionsOnce: sessions of one generation that fail together are replaced
// once, and new ones are not replaced at once.
func TestConnector_RenewsAllSessionsOnce(t *testing.T) {
	c := &connector{}
	useless := &mysql.MySQLError{Number: 1290}
	old, other := &session{connector: c}, &session{connector: c}
	if err := old.judge(useless); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("error %v", err)
	}
	if old.current() || other.current() || other.usable() == nil || other.IsValid() {
		t.Error("sessions of the former generation are used")
	}
	if err := other.judge(useless); !errors.Is(err, driver.ErrBadConn) || c.generation.Load() != 1 {
		t.Errorf("error %v, generation %d", err, c.generation.Load())
	}
	fresh := &session{connector: c, generation: 1}
	if err := fresh.judge(useless); errors.Is(err, driver.ErrBadConn) || !fresh.current() {
		t.Errorf("a session is given up as soon as it is made: %v", err)
	}
	c.renewed = time.Now().Add(-renewInterval)
	if err := fresh.judge(&mysql.MySQLError{Number: 1213}); errors.Is(err, driver.ErrBadConn) || !fresh.current() {
		t.Errorf("given up because of a deadlock: %v", err)
	}
	if err := fresh.judge(useless); !errors.Is(err, driver.ErrBadConn) || fresh.current() {
		t.Errorf("a session is kept: %v", err)
	}
}

func TestUndone(t *testing.T) {
	my := func(number uint16) error { return &mysql.MySQLError{Number: number} }
	conflict := &mysql.MySQLError{Number: 1105, Message: "tikv restarts txn: Write conflict, retry"}
	contended := &mysql.MySQLError{Number: 1105, Message: "pessimistic lock retry limit reached"}
	for _, test := range []struct {
		err                  error
		before, commit, dial bool
	}{
		{my(1213), true, true, true},
		{my(1205), true, true, true},
		{my(8002), true, true, true},
		{my(9007), true, true, true},
		{conflict, true, true, true},
		{contended, true, true, true},
		{ErrOvertaken, true, true, true},
		{my(1105), false, false, false},
		{my(1040), true, true, true},
		{my(1290), false, false, false},
		{givenUp{my(1290)}, true, true, true},
		{my(1047), false, false, false},
		{givenUp{my(1047)}, true, false, true},
		{givenUp{my(1053)}, true, false, true},
		{my(1927), true, false, true},
		{my(1062), false, false, false},
		{driver.ErrBadConn, true, true, true},
		{mysql.ErrInvalidConn, true, false, false},
		{errors.New("anything else"), false, false, false},
	} {
		if got := undone(test.err); got != test.before {
			t.Errorf("%v in a transaction: undone %t", test.err, got)
		}
		if got := undone(commitError{test.err}); got != test.commit {
			t.Errorf("%v at the commit: undone %t", test.err, got)
		}
		if got := undone(beginError{test.err}); got != test.dial {
			t.Errorf("%v without a connection: undone %t", test.err, got)
		}
		if undone(test.err) && !Unavailable(test.err) {
			t.Errorf("%v passes, but is not Unavailable", test.err)
		}
	}
}
