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

// profile writes profiles of the server under load into the lab's folder for
// profiles: its CPU, and what it has allocated since it started. load loads it for
// as long as it is told.
func profile(ctx context.Context, lab *kit.Lab, name string, server kit.Debug, load func(time.Duration) error) error {
	length := kit.Pick(lab, 10*time.Second, 3*time.Second)
	lab.Log("profiling")
	profiled := make(chan error, 1)
	go func() {
		profiled <- server.Profile(ctx, length, filepath.Join(lab.Profiles, name+".pprof"))
	}()
	// A little longer, so that the profile ends under load too.
	if err := errors.Join(load(length+length/10), <-profiled); err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	return server.Snapshot(ctx, "allocs", filepath.Join(lab.Profiles, name+".allocs.pprof"))
}
