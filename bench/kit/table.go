//go:build linux

package kit

import (
	"fmt"
	"strings"
	"time"
)

// Figure is a line of the table. What does not apply is empty.
type Figure struct {
	// Row is the number in the design's list.
	Row  int
	Work string
	Goal string
	// Ours and Floor are figures with their units; machines differ, so they only
	// say what the ratio is made of.
	Ours, Floor string
	// Ratio is ours to the floor's.
	Ratio string
	// CPU is the processor time for each request or delivery, ours and the floor's.
	CPU  string
	Note string
}

// Table is the figures in Markdown.
func Table(figures []Figure) string {
	var b strings.Builder
	b.WriteString("| row | work | goal | ours | floor | ratio (quartiles) | CPU of the server: ours / floor | note |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, f := range figures {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", f.Row, f.Work, f.Goal, dash(f.Ours), dash(f.Floor), dash(f.Ratio), dash(f.CPU), f.Note)
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Micros writes a duration in microseconds.
func Micros(d float64) string { return fmt.Sprintf("%.1f µs", d/float64(time.Microsecond)) }

// Millis writes a duration in milliseconds.
func Millis(d float64) string { return fmt.Sprintf("%.1f ms", d/float64(time.Millisecond)) }

// MB writes a size in megabytes.
func MB(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }

// KB writes a size in kilobytes.
func KB(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1e3) }
