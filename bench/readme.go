//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// The lines of README.md that enclose the table.
const (
	tableBegins = "<!-- table: written by `make bench` -->\n"
	tableEnds   = "<!-- end of table -->\n"
)

// updateReadme replaces the table, the date and the machine in the file.
func updateReadme(file, table string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table", file)
	}
	head := fmt.Sprintf("Measured by `make bench` on %s; %s; %s/%s, %s. `make bench ROW=name` measures a row alone.\n\n",
		time.Now().UTC().Format(time.DateOnly), machine(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return os.WriteFile(file, []byte(before+tableBegins+head+table+tableEnds+after), 0o644)
}

// machine describes the machine of the measurements.
func machine() string {
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := ""
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int
		if n, _ := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); n == 1 {
			memory = fmt.Sprintf(", %d GiB", (kib+(1<<19))>>20)
		}
	}
	return fmt.Sprintf("%d cores of %s%s", runtime.NumCPU(), cpu, memory)
}
