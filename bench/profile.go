//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"rollcall/bench/kit"
)

// profile writes profiles of the server under load to the lab's folder for profiles: of its CPU,
// and of its allocations since it started. load must load the server for the duration that it is
// given.
func profile(ctx context.Context, lab *kit.Lab, name string, server kit.Debug, load func(time.Duration) error) error {
	length := kit.Pick(lab, 10*time.Second, 3*time.Second)
	lab.Log("profiling")
	profiled := make(chan error, 1)
	go func() {
		profiled <- server.Profile(ctx, length, filepath.Join(lab.Profiles, name+".pprof"))
	}()
	// A little longer, so that the load does not end before the profile.
	if err := errors.Join(load(length+length/10), <-profiled); err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	return server.Snapshot(ctx, "allocs", filepath.Join(lab.Profiles, name+".allocs.pprof"))
}
