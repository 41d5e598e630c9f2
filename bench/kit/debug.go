//go:build linux

package kit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Debug is the address at which a Go program serves /debug/pprof.
type Debug struct{ DebugAddress string }

// GoMemory is the memory of a Go program as reported by its runtime, in bytes.
type GoMemory struct{ Heap, Stacks int64 }

// Memory collects garbage and returns the memory still in use.
func (d Debug) Memory(ctx context.Context) (GoMemory, error) {
	var m GoMemory
	text, err := d.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return m, err
	}
	found := 0
	for line := range strings.Lines(text) {
		// # HeapAlloc = 1234
		// # Stack = 5678 / 9012
		if n, _ := fmt.Sscanf(line, "# HeapAlloc = %d", &m.Heap); n == 1 {
			found++
		}
		if n, _ := fmt.Sscanf(line, "# Stack = %d", &m.Stacks); n == 1 {
			found++
		}
	}
	if found != 2 {
		return m, fmt.Errorf("the heap profile of %s has no sizes", d.DebugAddress)
	}
	return m, nil
}

// Allocations returns how many objects the program has allocated so far.
func (d Debug) Allocations(ctx context.Context) (int64, error) {
	text, err := d.get(ctx, "/debug/pprof/heap?debug=1")
	if err != nil {
		return 0, err
	}
	var n int64
	for line := range strings.Lines(text) {
		if found, _ := fmt.Sscanf(line, "# Mallocs = %d", &n); found == 1 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the heap profile of %s has no allocations", d.DebugAddress)
}

// Goroutines returns the number of goroutines.
func (d Debug) Goroutines(ctx context.Context) (int, error) {
	text, err := d.get(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscanf(text, "goroutine profile: total %d", &n)
	return n, err
}

// Profile writes a CPU profile of the next seconds to a file.
func (d Debug) Profile(ctx context.Context, length time.Duration, file string) error {
	text, err := d.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// Snapshot writes the program's profile of that name, "heap" or "allocs", to a file.
func (d Debug) Snapshot(ctx context.Context, profile, file string) error {
	text, err := d.get(ctx, "/debug/pprof/"+profile)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func (d Debug) get(ctx context.Context, path string) (string, error) {
	return get(ctx, "http://"+d.DebugAddress+path)
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return string(body), err
}

// Footprint is what a program needs at rest.
type Footprint struct {
	RSS int64
	GoMemory
	Goroutines int
}

const (
	settleInterval = 500 * time.Millisecond
	// settleSame is how many measurements in a row must not be lower than the one before, and
	// settleMost the maximum number of measurements. The runtime returns memory slowly, to save
	// time.
	settleSame = 6
	settleMost = 40
)

// Settle collects garbage, waits until the resident memory stops shrinking, and returns its size.
func Settle(ctx context.Context, p *Process, d Debug) (Footprint, error) {
	var f Footprint
	var err error
	for range 2 { // pools are emptied by the second collection
		if f.GoMemory, err = d.Memory(ctx); err != nil {
			return f, err
		}
	}
	if f.Goroutines, err = d.Goroutines(ctx); err != nil {
		return f, err
	}
	for measured, same := 0, 0; same < settleSame && measured < settleMost; measured++ {
		before := f.RSS
		if f.RSS, err = p.RSS(); err != nil {
			return f, err
		}
		same++
		if f.RSS < before*995/1000 {
			same = 0
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return f, ctx.Err()
		}
	}
	return f, nil
}
