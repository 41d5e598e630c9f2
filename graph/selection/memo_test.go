package selection

import (
	"context"
	"slices"
	"testing"
)

// lookups is a context that records which keys it was asked for.
type lookups struct {
	context.Context
	asked []any
}

func (l *lookups) Value(key any) any {
	l.asked = append(l.asked, key)
	return l.Context.Value(key)
}

func TestMemo_LooksUpEachKeyOnce(t *testing.T) {
	type key int
	parent := &lookups{Context: context.WithValue(context.Background(), key(1), "one")}
	m := &memo{Context: parent}
	for range 3 {
		for k, want := range map[key]any{0: nil, 1: "one", 2: nil} {
			if got := m.Value(k); got != want {
				t.Errorf("key %d: %v, want %v", k, got, want)
			}
		}
	}
	slices.SortFunc(parent.asked, func(a, b any) int { return int(a.(key) - b.(key)) })
	if want := []any{key(0), key(1), key(2)}; !slices.Equal(parent.asked, want) {
		t.Errorf("asked for %v, want %v", parent.asked, want)
	}
}

func TestMemo_OfManyKeys(t *testing.T) {
	type key int
	ctx := context.Background()
	const n = 10
	for k := range key(n) {
		ctx = context.WithValue(ctx, k, k*k)
	}
	m := &memo{Context: ctx}
	for range 2 {
		for k := range key(n) {
			if got := m.Value(k); got != k*k {
				t.Errorf("key %d: %v, want %v", k, got, k*k)
			}
		}
	}
}
