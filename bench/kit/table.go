//go:build linux

package kit

import (
	"fmt"
	"strings"
	"time"
)

// Figure is a line of the table. Columns that do not apply are empty.
type Figure struct {
	// Row is the number in the design's list, Name the name of the benchmark.
	Row  int
	Name string
	Work string
	Goal string
	// Ours and Floor are figures with their units. They depend on the machine and show only what
	// the ratio was computed from.
	Ours, Floor string
	// Met is whether the goal is met, as returned by AtLeast and AtMost.
	Met string
	// Ratio is ours to the floor's.
	Ratio string
	// Stock is the figure of stock gqlgen with GORM, with its ratio to the floor.
	Stock string
	// CPU is the processor time for each request or delivery, ours and the floor's.
	CPU string
	// Queries and Allocations are per request, in the same order.
	Queries, Allocations string
	Note                 string
}

// Table formats the figures in Markdown.
func Table(figures []Figure) string {
	var b strings.Builder
	b.WriteString("| row | work | goal | met | ours | floor | ratio (quartiles) | stock gqlgen + GORM: ratio to the floor | CPU of the server: ours / floor / stock | queries | allocations | note |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range figures {
		fmt.Fprintf(&b, "| %d `%s` | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", f.Row, f.Name, f.Work, dash(f.Goal), dash(f.Met),
			dash(f.Ours), dash(f.Floor), dash(f.Ratio), dash(f.Stock), dash(f.CPU), dash(f.Queries), dash(f.Allocations), f.Note)
	}
	return b.String()
}

// AtLeast reports, as text, whether a value reaches its goal.
func AtLeast(value, goal float64) string { return met(value >= goal) }

// AtMost reports, as text, whether a value stays within its goal.
func AtMost(value, goal float64) string { return met(value <= goal) }

func met(reached bool) string {
	if reached {
		return "yes"
	}
	return "**no**"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Micros formats a duration in microseconds.
func Micros(d float64) string { return fmt.Sprintf("%.1f µs", d/float64(time.Microsecond)) }

// Millis formats a duration in milliseconds.
func Millis(d float64) string { return fmt.Sprintf("%.1f ms", d/float64(time.Millisecond)) }

// Count formats a number.
func Count(n float64) string { return fmt.Sprintf("%.0f", n) }

// Hundredths formats a number with two decimals.
func Hundredths(n float64) string { return fmt.Sprintf("%.2f", n) }

// MB formats a size in megabytes.
func MB(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }

// KB formats a size in kilobytes.
func KB(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1e3) }
