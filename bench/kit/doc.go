//go:build linux

// Package kit is what the benchmarks share: child processes and what they cost,
// load generators that leave the processors to the programs under test, shuffled
// slices with medians of ratios, and the table.
package kit
