//go:build linux

// Package kit is what the benchmarks share: child processes and their cost, load generators that
// use little CPU, shuffled slices with medians of ratios, and the table.
package kit
