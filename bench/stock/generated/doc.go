// Package generated is gqlgen's code for the comparator. It is written by
// `make generate` alone.
package generated
