//go:build linux

package kit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Rounds measures each program once in each of n rounds. The order is shuffled in every round, so
// that other load on the machine affects all programs alike. A round before them warms up and is
// not counted. The result has a row for each round, with the programs in the order given.
func Rounds[T any](ctx context.Context, n int, programs ...func() (T, error)) ([][]T, error) {
	rounds := make([][]T, 0, n)
	for i := range n + 1 {
		round := make([]T, len(programs))
		for _, p := range rand.Perm(len(programs)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var err error
			if round[p], err = programs[p](); err != nil {
				return nil, err
			}
		}
		if i > 0 {
			rounds = append(rounds, round)
		}
	}
	return rounds, nil
}

// Median returns a program's median over the rounds.
func Median[T any](rounds [][]T, program int, value func(T) float64) float64 {
	values := make([]float64, len(rounds))
	for i, round := range rounds {
		values[i] = value(round[program])
	}
	return quantile(values, 0.5)
}

// Ratio compares two programs round by round: the median of the ratios, and the quartiles.
type Ratio struct{ Low, Median, High float64 }

// String formats the ratio for the table.
func (r Ratio) String() string {
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Low, r.High)
}

// Compare returns the ratio of a's values to b's.
func Compare[T any](rounds [][]T, a, b int, value func(T) float64) Ratio {
	ratios := make([]float64, len(rounds))
	for i, round := range rounds {
		ratios[i] = value(round[a]) / value(round[b])
	}
	return Ratio{quantile(ratios, 0.25), quantile(ratios, 0.5), quantile(ratios, 0.75)}
}

// quantile sorts values and returns the one at q. Between two values it returns their mean.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	at := q * float64(len(values)-1)
	low := int(at)
	high := min(low+1, len(values)-1)
	return values[low] + (values[high]-values[low])*(at-float64(low))
}

// MedianOf returns the median of at least one value.
func MedianOf(values []float64) float64 { return quantile(slices.Clone(values), 0.5) }
