//go:build linux

package kit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stopPatience is how long a process may take to end before it is killed.
	stopPatience = 30 * time.Second
	// logShown is the maximum length of a process's log in an error.
	logShown = 4 << 10
)

// Process is a child process that runs until Stop. The kernel kills it if this process ends before.
type Process struct {
	PID int
	// Started is the time just before it was started.
	Started time.Time

	name   string
	log    *tail
	exited chan struct{}
}

// start runs cmd and keeps its log for errors.
func start(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, log: &tail{}, exited: make(chan struct{})}
	cmd.Stderr = p.log
	// A group of its own, so that Ctrl-C on a terminal reaches only this process, which then stops
	// the others in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.Started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.PID = cmd.Process.Pid
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // stopped, or its absence is noticed by its clients
	}()
	return p, nil
}

// Stop makes the process end and waits for it. If it does not end, Stop kills it.
func (p *Process) Stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return
		default:
			_ = syscall.Kill(p.PID, signal) // fails only if it has just ended
		}
		select {
		case <-p.exited:
			return
		case <-time.After(stopPatience):
		}
	}
}

// Wrap adds the name of the process and its log to err.
func (p *Process) Wrap(err error) error {
	return fmt.Errorf("%s: %w\n%s", p.name, err, p.log.text())
}

// CPU returns the processor time that the process has used in all its threads.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID) }

// RSS returns the resident memory of the process in bytes.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the kernel does not report the memory of %s", p.name)
}

// CPU returns the processor time that a process has used, in nanoseconds. Its clock is used because
// getrusage includes a child only after it has ended.
func CPU(pid int) (time.Duration, error) {
	// CPUCLOCK_SCHED of the process, computed as in clock_getcpuclockid(3).
	clock := int32(^pid<<3 | 2)
	var spent unix.Timespec
	if err := unix.ClockGettime(clock, &spent); err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*logShown {
		t.buf = bytes.Clone(t.buf[len(t.buf)-logShown:])
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
