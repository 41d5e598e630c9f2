package outage

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// LogInterval is how often a Log writes a warning that repeats.
const LogInterval = 10 * time.Second

// Log writes warnings that every request may cause during an outage. The first one with a message is
// written at once. Those that follow are counted; each LogInterval one of them is written, with their
// number as `further`, until an interval brings none.
//
// A Log keeps state for each message, so messages must be constants, with all that varies in the
// attributes.
type Log struct {
	log *slog.Logger

	mu       sync.Mutex
	repeated map[string]*repeats
}

// repeats are the warnings with one message since the last one that was written.
type repeats struct {
	further int
	last    []any // its attributes
	timer   *time.Timer
}

// NewLog returns a Log that writes to log.
func NewLog(log *slog.Logger) *Log {
	return &Log{log: log, repeated: make(map[string]*repeats)}
}

// Warn writes or counts a warning. args are attributes, as for slog.Logger.Warn.
func (l *Log) Warn(ctx context.Context, message string, args ...any) {
	if l.isFirst(message, args) {
		l.log.WarnContext(ctx, message, args...)
	}
}

// isFirst reports whether the warning must be written now. If not, it counts the warning.
func (l *Log) isFirst(message string, args []any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.repeated[message]; r != nil {
		r.further++
		r.last = args
		return false
	}
	l.repeated[message] = &repeats{timer: time.AfterFunc(LogInterval, func() { l.writeFurther(message) })}
	return true
}

// writeFurther writes how many warnings have followed. If there were none, it forgets the message.
func (l *Log) writeFurther(message string) {
	l.mu.Lock()
	r := l.repeated[message]
	further, last := r.further, r.last
	r.further, r.last = 0, nil
	if further == 0 {
		delete(l.repeated, message)
	} else {
		r.timer.Reset(LogInterval)
	}
	l.mu.Unlock()
	if further > 0 {
		l.log.Warn(message, slices.Concat([]any{"further", further, "within", LogInterval}, last)...)
	}
}
