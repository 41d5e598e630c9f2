// Package vitals reports the state of the service: of this process, of the database and Redis as it
// sees them, and of the other nodes.
//
// Nodes that share a Redis report themselves in the table service_nodes every BeatInterval, and read what the
// others have reported. A node that stops deletes its row. So a row that is no longer renewed is one
// of a node that was killed or cannot reach the database. It stays for KeepLost, or until a node starts
// at the same place, which proves that the former one has ended. A node without Redis is the only one
// and writes nothing.
//
// Health is read from memory, so that pages can show it at any rate and during any outage.
package vitals

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/redis"
	"rollcall/models"
)

// Config is what a Node is made of. Redis is nil if this is the only node.
type Config struct {
	DB    *database.DB
	Redis *redis.Client
	// Name is the name of this process for operators.
	Name string
	// Version is the release.
	Version string
	// Devices returns the number of devices connected to this node.
	Devices func() int
	Logger  *slog.Logger
	// Clock is time.Now outside tests.
	Clock func() time.Time
}

// Node is this process.
type Node struct {
	Config
	started  models.Time
	database *watched
	redis    *watched // nil without Redis
	stopping atomic.Bool

	mu     sync.Mutex
	id     int64
	others []reported
	// redisID is what was last read from Redis.
	redisID string
	// beatAt is when the node last reported itself and read the others, and steady since when each
	// attempt to do so has succeeded; both are zero if the last attempt failed.
	beatAt, steady time.Time
}

// New returns the Node of a process that starts now.
func New(c Config) *Node {
	n := &Node{Config: c, started: models.TimeOf(c.Clock()), id: newID()}
	n.database = &watched{clock: c.Clock, look: c.DB.Ping, product: func(ctx context.Context) (string, error) {
		return databaseProduct(ctx, c.DB)
	}}
	if c.Redis != nil {
		n.redis = &watched{clock: c.Clock, look: c.Redis.Writable, product: func(ctx context.Context) (string, error) {
			return redisProduct(ctx, c.Redis)
		}}
	}
	return n
}

// Run looks at the database and Redis, and reports this node to the others, until ctx ends. address is
// where the node listens.
func (n *Node) Run(ctx context.Context, address string) {
	var running sync.WaitGroup
	running.Go(func() { n.database.run(ctx) })
	if n.redis != nil {
		running.Go(func() { n.redis.run(ctx) })
		running.Go(func() { n.reportRegularly(ctx, place(address)) })
	}
	running.Wait()
}

// Drain reports from now on that the node is stopping.
func (n *Node) Drain() { n.stopping.Store(true) }

// place returns what no two nodes share at the same time.
func place(address string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + " " + address
}

// Report is the state of this process and of the database's schema.
type Report struct {
	// Schema is the version of the database's schema. A node keeps serving while a newer one
	// migrates.
	Schema  database.Version
	Devices int
	Started models.Time
	// Version is the release of this program, and Go that of its compiler.
	Version, Go string
	// Goroutines is the number of goroutines, and Memory how many bytes the process has from the
	// operating system.
	Goroutines int
	Memory     int
}

// Report returns the current state. It returns an error if the database is unreachable.
func (n *Node) Report(ctx context.Context) (*Report, error) {
	r := &Report{Devices: n.Devices(), Started: n.started, Version: n.Version, Go: runtime.Version()}
	var err error
	if r.Schema, err = n.DB.Version(ctx); err != nil {
		return nil, fmt.Errorf("reaching the database: %w", err)
	}
	r.Goroutines, r.Memory = running()
	return r, nil
}

// running returns the number of goroutines and the memory. Unlike runtime.ReadMemStats it does not
// stop the program.
func running() (goroutines, memory int) {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return int(samples[0].Value.Uint64()), int(samples[1].Value.Uint64() - samples[2].Value.Uint64())
}
