package database

import (
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/clienttls"
)

// A URL may name several servers: a primary and its standbys, or members of a Galera cluster. All
// sessions are on one of them, so that each sees what the others have changed. It stays in use until
// no new session can be made there, or it accepts no changes; then another one is chosen, and the
// sessions on the former are closed.

const (
	// searchGrace is how long a search waits for servers that come earlier in the URL once one can be
	// used.
	searchGrace = time.Second
	// searchPause is the time between a search that has found nothing and the next one.
	searchPause = 250 * time.Millisecond
)

// mysqlServer is one of the servers.
type mysqlServer struct {
	address   string
	connector driver.Connector
}

func newConnector(cfg *mysql.Config, addresses []string, secure *clienttls.Source, log *slog.Logger) (*connector, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &connector{tls: secure, log: log}
	for _, address := range addresses {
		cfg := cfg.Clone()
		cfg.Addr = address
		base, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, &mysqlServer{address, base})
	}
	if len(c.servers) == 1 {
		c.inUse = c.servers[0]
	}
	return c, nil
}

// chosen returns the server in use, or nil before the first search, and the present generation.
func (c *connector) chosen() (*mysqlServer, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inUse, c.generation.Load()
}

// connectToUsable makes a session on the server in use, or on another one if that cannot be used.
func (c *connector) connectToUsable(ctx context.Context) (driver.Conn, error) {
	server, generation := c.chosen()
	if server != nil {
		s, err := c.openUsable(ctx, server, generation)
		if err == nil {
			return s, nil
		}
		if isMySQL(err, tooManyConnections...) {
			return nil, err
		}
	}
	found := c.find(server)
	select {
	case <-found.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("looking for another server of the database: %w", ctx.Err())
	}
	if found.err != nil {
		return nil, found.err
	}
	server, generation = c.chosen()
	s, err := c.openUsable(ctx, server, generation)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// errReadOnly is returned for a server that is read-only, as a replica is.
var errReadOnly = &mysql.MySQLError{Number: readOnly[0], Message: "the server is read-only"}

// openUsable is open for a server that accepts changes. Others return an error; a member outside its
// Galera cluster returns its own.
func (c *connector) openUsable(ctx context.Context, server *mysqlServer, generation int64) (*session, error) {
	s, err := c.open(ctx, server, generation)
	if err != nil {
		return nil, err
	}
	if err := s.acceptsChanges(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// acceptsChanges returns an error if the server of the session accepts no changes.
func (s *session) acceptsChanges(ctx context.Context) error {
	rows, err := s.mysqlConn.QueryContext(ctx, "SELECT @@global.read_only", nil)
	if isMySQL(err, unknownVariable...) {
		return nil
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil {
		return err
	}
	// Most servers return a number, which the driver may leave as text; new ones of MariaDB a word.
	text := fmt.Sprint(value[0])
	if bytes, ok := value[0].([]byte); ok {
		text = string(bytes)
	}
	if text != "0" && !strings.EqualFold(text, "off") {
		return errReadOnly
	}
	return nil
}

// search is a search for a server that can be used.
type search struct {
	done chan struct{} // closed at the end
	err  error
}

// find begins a search for another server than the unusable one, or returns the one that is under
// way. If another server is in use already, there is nothing to search. A search does not end with
// the context of a caller, who may be in a hurry.
func (c *connector) find(unusable *mysqlServer) *search {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inUse != unusable {
		found := &search{done: make(chan struct{})}
		close(found.done)
		return found
	}
	if c.search == nil {
		c.search = &search{done: make(chan struct{})}
		go c.runSearch(c.search)
	}
	return c.search
}

// runSearch puts a server into use that can be used.
func (c *connector) runSearch(s *search) {
	current, _ := c.chosen()
	server, err := c.firstUsable(current)
	if err != nil {
		s.err = err
		close(s.done)
		time.Sleep(searchPause) // callers that come now receive the error
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.search = nil
	if err == nil {
		c.useLocked(server)
		close(s.done)
	}
}

// useLocked puts a server into use. The caller holds c.mu.
func (c *connector) useLocked(server *mysqlServer) {
	former := c.inUse
	if server == former {
		return
	}
	c.inUse = server
	if former == nil {
		c.log.Info("found the server of the database", "server", server.address)
		return
	}
	c.log.Warn("another server of the database is in use", "server", server.address, "former", former.address)
	c.renewed = time.Now()
	c.generation.Add(1)
	c.switches.Add(1)
}

// NoServerError is returned while none of the servers of the URL can be used.
type NoServerError struct {
	addresses []string
	errs      []error
}

func (e *NoServerError) Error() string {
	var problems []string
	for i, address := range e.addresses {
		problems = append(problems, fmt.Sprintf("%s: %v", address, e.errs[i]))
	}
	return "no server of the database can be used (" + strings.Join(problems, "; ") + ")"
}

// firstUsable returns the current server if it can be used after all, because an attempt ended for
// another reason, such as the end of its context; otherwise the first one, in the order of the URL,
// that can be used. It asks all at once, and does not wait long for slow ones if another one can be
// used. It returns a *NoServerError if none can.
func (c *connector) firstUsable(current *mysqlServer) (*mysqlServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	type response struct {
		i   int
		err error
	}
	arrived := make(chan response, len(c.servers))
	failed := &NoServerError{errs: make([]error, len(c.servers))}
	for i, server := range c.servers {
		failed.addresses = append(failed.addresses, server.address)
		failed.errs[i] = context.DeadlineExceeded
		go func() {
			s, err := c.openUsable(ctx, server, 0)
			if err == nil {
				s.Close()
			}
			arrived <- response{i, err}
		}()
	}
	var usable []int
	var grace <-chan time.Time
	for waiting := len(c.servers); waiting > 0; waiting-- {
		select {
		case r := <-arrived:
			if failed.errs[r.i] = r.err; r.err == nil {
				usable = append(usable, r.i)
			}
			if grace == nil && usable != nil {
				grace = time.After(searchGrace)
			}
		case <-grace:
			waiting = 0
		}
	}
	if usable == nil {
		return nil, failed
	}
	slices.Sort(usable)
	for _, i := range usable {
		if c.servers[i] == current {
			return current, nil
		}
	}
	return c.servers[usable[0]], nil
}
