// Package vitals tells how this process and its database are.
package vitals

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"rollcall/internal/database"
	"rollcall/models"
)

// Node is this process.
type Node struct {
	db      *database.DB
	devices func() int
	version string
	clock   func() time.Time
	started models.Time
}

// New answers the process, which starts now. devices answers how many devices are
// connected to it, version is its release; clock is time.Now outside tests.
func New(db *database.DB, devices func() int, version string, clock func() time.Time) *Node {
	return &Node{db: db, devices: devices, version: version, clock: clock, started: models.TimeOf(clock())}
}

// Report is how the process and its database are at one moment.
type Report struct {
	// RoundTrip is how long the database took for the smallest question.
	RoundTrip time.Duration
	// Schema is where the database's schema stands; a node goes on serving while a
	// newer one migrates.
	Schema  database.Version
	Dialect database.Dialect
	Devices int
	Started models.Time
	// Version and Go are the releases of this program and of its compiler.
	Version, Go string
	// Goroutines is how many things are under way at once, and Memory how many bytes
	// the process has got from the operating system and not given back.
	Goroutines int
	Memory     int
}

// Report looks. It fails when the database does not answer.
func (n *Node) Report(ctx context.Context) (*Report, error) {
	begun := n.clock()
	if err := n.db.Read(ctx).Raw("SELECT 1").Scan(new(int)).Error; err != nil {
		return nil, fmt.Errorf("reaching the database: %w", err)
	}
	r := &Report{
		RoundTrip: n.clock().Sub(begun), Dialect: n.db.Dialect(), Devices: n.devices(),
		Started: n.started, Version: n.version, Go: runtime.Version(),
	}
	var err error
	if r.Schema, err = n.db.Version(ctx); err != nil {
		return nil, err
	}
	r.Goroutines, r.Memory = running()
	return r, nil
}

// running answers the goroutines and the memory, without stopping the program as
// runtime.ReadMemStats does.
func running() (goroutines, memory int) {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return int(samples[0].Value.Uint64()), int(samples[1].Value.Uint64() - samples[2].Value.Uint64())
}
