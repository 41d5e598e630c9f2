// Package vitals reports the state of this process and of its database.
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

// New returns the Node of a process that starts now. devices returns the number of devices
// connected to it, and version is its release. clock is time.Now outside tests.
func New(db *database.DB, devices func() int, version string, clock func() time.Time) *Node {
	return &Node{db: db, devices: devices, version: version, clock: clock, started: models.TimeOf(clock())}
}

// Report is the state of the process and its database at one moment.
type Report struct {
	// RoundTrip is how long the database took for the smallest query.
	RoundTrip time.Duration
	// Schema is the version of the database's schema. A node keeps serving while a newer one
	// migrates.
	Schema  database.Version
	Dialect database.Dialect
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
