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
	// logShown is how much of a process's log an error holds.
	logShown = 4 << 10
)

// Process is a child of this process that runs until Stop. The kernel kills it
// when this process ends without that.
type Process struct {
	PID int
	// Started is the moment before it was started.
	Started time.Time

	name   string
	log    *tail
	exited chan struct{}
}

// start runs cmd. What it logs is kept for errors.
func start(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, log: &tail{}, exited: make(chan struct{})}
	cmd.Stderr = p.log
	// A group of its own: Ctrl-C on a terminal is for this process, which then
	// stops the others in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.Started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.PID = cmd.Process.Pid
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // stopped, or missed by whoever talks to it
	}()
	return p, nil
}

// Stop asks the process to end, waits for that, and kills it where it does not.
func (p *Process) Stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return
		default:
			_ = syscall.Kill(p.PID, signal) // fails only when it has just ended
		}
		select {
		case <-p.exited:
			return
		case <-time.After(stopPatience):
		}
	}
}

// Wrap adds the name of the process and what the process has logged to err.
func (p *Process) Wrap(err error) error {
	return fmt.Errorf("%s: %w\n%s", p.name, err, p.log.text())
}

// CPU is the processor time that the process has used, of all its threads.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID) }

// RSS is the memory of the process that is resident, in bytes.
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
	return 0, fmt.Errorf("the kernel does not tell the memory of %s", p.name)
}

// CPU is the processor time that a process has used, to the nanosecond: what
// getrusage tells of a child only once it has ended, its clock tells meanwhile.
func CPU(pid int) (time.Duration, error) {
	// CPUCLOCK_SCHED of the process, as clock_getcpuclockid(3) makes it.
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
