package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"rollcall/internal/clienttls"
)

// A replica serves reads that may be late, see Late, while it is not too late itself. The node finds
// that without a server's clock and without special rights: it regularly increases the number in its
// row of replica_heartbeats at the primary, remembers when it began to do so, and reads the row at the
// replica. A replica that has a number has everything that was committed before the number was sent,
// if it commits in the primary's order.

// Tests shorten these.
var (
	// beatInterval is the time between two heartbeats, and between two looks at the replica.
	beatInterval = time.Second
	// lookTimeout limits one look at the replica.
	lookTimeout = 700 * time.Millisecond
	// slowRead is how long a read at the replica takes until the node looks whether the replica still
	// responds. With lookTimeout it leaves a page of the console time to read at the primary.
	slowRead = 300 * time.Millisecond
	// refusalLife is how long a replica that has refused a read is not used.
	refusalLife = time.Minute
)

// The bounds of ReplicaOptions.MaxLag.
const (
	LeastMaxLag = 5 * time.Second
	MostMaxLag  = time.Hour
)

const (
	// keptBeats is how many heartbeats are kept that the replica has not shown.
	keptBeats = 1000
	// beatLife is how long the row of a node that was killed is kept, in milliseconds.
	beatLife = 24 * 60 * 60 * 1000
	// replicaConns is the maximum number of connections to the replica.
	replicaConns = 10
)

// ReplicaOptions are what a replica needs besides its URL.
type ReplicaOptions struct {
	// TLS names the files for the TLS of a URL with tls=true.
	TLS clienttls.Files
	// MaxLag is how late reads may be.
	MaxLag time.Duration
	// Log receives the changes between the replica and the primary; nil: nothing is logged.
	Log *slog.Logger
}

// replica is a server that applies what the primary has committed.
type replica struct {
	db        *DB
	connector *connector
	pool      *sql.DB
	reads     lateReads
	maxLag    time.Duration
	log       *slog.Logger
	node      string // the key of this node's row
	version   int64  // the least version of the schema
	begun     time.Time

	// ok is whether the last look found the replica usable, and shown when the last heartbeat that it
	// had was begun, in nanoseconds since begun; 0 if it had none.
	ok    atomic.Bool
	shown atomic.Int64
	// refusal is the last one, or nil.
	refusal atomic.Pointer[refusal]
	state   string // that was logged last

	end   context.CancelFunc
	ended sync.WaitGroup

	mu     sync.Mutex
	number int64
	beats  []heartbeat // that the replica has not shown, the oldest first
}

type heartbeat struct {
	number int64
	begun  time.Time
}

// refusal is the error of a read that the primary accepted.
type refusal struct {
	error
	at time.Time
}

// CheckReplica returns the *URLError or *clienttls.Error that UseReplica would return. It connects to
// nothing.
func CheckReplica(rawURL string, options ReplicaOptions) error {
	_, _, err := replicaConnector(rawURL, options)
	return err
}

// replicaConnector returns what makes the sessions on the replica, and its URL without its password.
func replicaConnector(rawURL string, options ReplicaOptions) (*connector, string, error) {
	cfg, hosts, err := parseMySQL(rawURL)
	if err != nil {
		return nil, "", err
	}
	if len(hosts) > 1 {
		return nil, "", &URLError{"names several hosts; a replica is one server"}
	}
	cfg.Timeout = lookTimeout
	secure, err := requireTLS(cfg, options.TLS)
	if err != nil {
		return nil, "", err
	}
	c, err := newConnector(cfg, hosts, secure, options.Log)
	if err != nil {
		return nil, "", err
	}
	c.replica = true
	c.lost, c.slow = make(chan struct{}), make(chan struct{}, 1)
	return c, fmt.Sprintf("mysql://%s@%s/%s", cfg.User, hosts[0], cfg.DBName), nil
}

// UseReplica makes reads that may be late use the replica that rawURL names, whenever it can be used,
// until Close. It must be called once, after Migrate and before anything else uses the database. It
// does not need the replica to respond. Returns a *URLError or a *clienttls.Error.
func (db *DB) UseReplica(ctx context.Context, rawURL string, options ReplicaOptions) error {
	if db.dialect != MySQL {
		return &URLError{"names a replica, which only a database on a MySQL server has"}
	}
	version, err := db.Version(ctx)
	if err != nil {
		return err
	}
	c, name, err := replicaConnector(rawURL, options)
	if err != nil {
		return err
	}
	r := &replica{
		db: db, connector: c, pool: sql.OpenDB(c), maxLag: options.MaxLag, log: c.log.With("replica", name),
		node: rand.Text(), version: version.Latest, begun: time.Now(),
	}
	r.pool.SetMaxOpenConns(replicaConns)
	r.pool.SetMaxIdleConns(replicaConns)
	r.pool.SetConnMaxIdleTime(time.Minute)
	r.pool.SetConnMaxLifetime(mysqlConnLife)
	r.reads = lateReads{r, db.pool}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	r.end = end
	r.ended.Go(func() { r.beatRegularly(running) })
	r.ended.Go(func() { r.lookRegularly(running) })
	db.replica = r
	return nil
}

// MaxLag returns how late reads that may be late can be: 0 without a replica.
func (db *DB) MaxLag() time.Duration {
	if db.replica == nil {
		return 0
	}
	return db.replica.maxLag
}

// close ends the use of the replica.
func (r *replica) close() error {
	r.end()
	r.ended.Wait()
	r.ok.Store(false)
	return r.pool.Close()
}

// usable reports whether the replica can be used now.
func (r *replica) usable() bool { return r.ok.Load() && r.lag() <= r.maxLag }

// lag returns how late the replica is at most. It is very long if that is not known.
func (r *replica) lag() time.Duration {
	shown := r.shown.Load()
	if shown == 0 {
		return math.MaxInt64
	}
	return time.Since(r.begun) - time.Duration(shown)
}

// beatRegularly increases the number of this node's row until ctx ends, and then deletes the row. If it
// cannot, because the primary is away, the replica is soon too late, which is logged.
func (r *replica) beatRegularly(ctx context.Context) {
	_ = r.db.Exec(ctx, "DELETE FROM replica_heartbeats WHERE at < "+r.db.Now()+" - ?", beatLife)
	for ctx.Err() == nil {
		_ = r.beat(ctx)
		select {
		case <-time.After(beatInterval):
		case <-ctx.Done():
		}
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	_ = r.db.Exec(leaving, "DELETE FROM replica_heartbeats WHERE node_id = ?", r.node) // or beatLife later
}

func (r *replica) beat(ctx context.Context) error {
	r.mu.Lock()
	r.number++
	number := r.number
	r.beats = append(r.beats, heartbeat{number, time.Now()})
	if len(r.beats) > keptBeats {
		r.beats = r.beats[1:]
	}
	r.mu.Unlock()
	return r.db.Exec(ctx, "INSERT INTO replica_heartbeats (node_id, number, at) VALUES (?, ?, "+r.db.Now()+
		") ON DUPLICATE KEY UPDATE number = VALUES(number), at = VALUES(at)", r.node, number)
}

// lookNow makes lookRegularly look at the replica at once.
func (c *connector) lookNow() {
	select {
	case c.slow <- struct{}{}:
	default:
	}
}

// lookRegularly looks at the replica until ctx ends.
func (r *replica) lookRegularly(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.look(ctx)
		if ctx.Err() != nil {
			return
		}
		r.looked(err)
		select {
		case <-time.After(beatInterval):
		case <-r.connector.slow:
		case <-ctx.Done():
		}
	}
}

// The reasons why a replica that responds is not used.
var (
	errOldSchema = errors.New("its schema is older than this node needs")
	errNoBeat    = errors.New("it has not received this node's heartbeat")
	errLag       = errors.New("it is too late")
	errRefusal   = errors.New("it refuses a read that the primary accepts")
)

// look returns why the replica cannot be used, or nil if it can.
func (r *replica) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var version, number sql.NullInt64
	err := r.pool.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename).Scan(&version)
	if err == nil && version.Int64 < r.version {
		return errOldSchema
	}
	if err == nil {
		err = r.pool.QueryRowContext(ctx, "SELECT number FROM replica_heartbeats WHERE node_id = ?", r.node).Scan(&number)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errNoBeat
	case err != nil && isNoTable(err):
		return errOldSchema
	case err != nil:
		return err
	}
	r.shows(number.Int64)
	if last := r.refusal.Load(); last != nil && time.Since(last.at) < refusalLife {
		return fmt.Errorf("%w: %w", errRefusal, last.error)
	}
	// To be used again it must be clearly early enough, so that it does not change all the time.
	if lag := r.lag(); lag > r.maxLag || !r.ok.Load() && lag > max(r.maxLag/2, 2*beatInterval) {
		return errLag
	}
	return nil
}

// shows records that the replica has a heartbeat.
func (r *replica) shows(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.beats) > 0 && r.beats[0].number <= number {
		r.shown.Store(max(1, int64(r.beats[0].begun.Sub(r.begun))))
		r.beats = r.beats[1:]
	}
}

// looked records what a look has found, and logs changes.
func (r *replica) looked(err error) {
	state := "used"
	switch {
	case err == nil:
	case errors.Is(err, errOldSchema), errors.Is(err, errNoBeat), errors.Is(err, errLag), errors.Is(err, errRefusal):
		state = err.Error()
	default:
		state = "lost"
		r.connector.lose()
	}
	r.ok.Store(err == nil)
	// The first heartbeat needs a moment to arrive.
	if state == r.state || r.state == "" && state == errNoBeat.Error() && time.Since(r.begun) < r.maxLag {
		return
	}
	r.state = state
	if err == nil {
		r.log.Info("reads that may be late use the replica of the database", "lag", r.lag())
		return
	}
	r.log.Warn("reads that may be late use the primary: the replica of the database cannot be used", "error", err)
}

// lose ends the queries that wait for the replica.
func (c *connector) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.lost)
	c.lost = make(chan struct{})
}

// untilLost returns a context that ends when the replica is lost.
func (c *connector) untilLost(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	lost := c.lost
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		slow := time.NewTimer(slowRead)
		defer slow.Stop()
		for {
			select {
			case <-slow.C:
				c.lookNow()
			case <-lost:
				cancel()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}
