package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// around returns inner in n pairs of opening and closing.
func around(opening, inner, closing string, n int) string {
	return strings.Repeat(opening, n) + inner + strings.Repeat(closing, n)
}

// chainOf returns an operation and n fragments, each of which spreads the next.
func chainOf(n int) string {
	var b strings.Builder
	b.WriteString("{ ...f1 }")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, " fragment f%d on Query { ...f%d }", i, i+1)
	}
	return b.String() + fmt.Sprintf(" fragment f%d on Query { a }", n)
}

// TestMeasure_Limits has documents at each limit, and just beyond it.
func TestMeasure_Limits(t *testing.T) {
	for name, c := range map[string]struct {
		text   func(n int) string
		max    int
		refuse string
	}{
		"operations":       {func(n int) string { return strings.Repeat("query { a } ", n) }, maxOperations, "operations"},
		"depth":            {func(n int) string { return around("{ a ", "", "}", n) }, MaxDepth, "nests fields 21 deep"},
		"depth, fragments": {func(n int) string { return "{ a { ...f } } fragment f on A " + around("{ a ", "", "}", n-1) }, MaxDepth, "nests fields 21 deep"},
		"inline fragments": {func(n int) string { return around("{ ... ", "{ a }", "}", n-1) }, maxNesting, "nests fields and fragments"},
		"fragments":        {func(n int) string { return chainOf(n - 1) }, maxNesting, "nests fields and fragments"},
		"selections": {func(n int) string {
			return "{ " + strings.Repeat("...f ", 20) + "} fragment f on Query { " + strings.Repeat("a ", n/20-1) + "}"
		}, maxSelections, "selects"},
		"directives": {func(n int) string {
			return "{ " + strings.Repeat("...f ", 20) + "} fragment f on Query { a " + strings.Repeat("@a ", n/20) + "}"
		}, maxDirectives, "directives"},
		"values": {func(n int) string {
			return "{ " + strings.Repeat("...f ", 20) + "} fragment f on Query { a(a: [" + strings.Repeat("1 ", n/20-1) + "]) }"
		}, maxValues, "values"},
		"text": {func(n int) string {
			return `{ ...f ...f } fragment f on Query { a(a: "` + strings.Repeat("a", n/2-10) + `") }`
		}, maxText, "bytes of names and values"},
		"a name": {func(n int) string { return "{ " + strings.Repeat("a", n) + " }" }, maxName, "a name has 257 bytes"},
		"lists":  {func(n int) string { return "{ a(a: " + around("[", "", "]", n) + ") }" }, maxValueNesting, "nests lists and objects"},
		"types":  {func(n int) string { return "query($a: " + around("[", "ID", "]", n-1) + ") { a(a: $a) }" }, maxValueNesting, "nests lists"},
		"__schema": {func(n int) string {
			return "{ " + strings.Repeat("...f ", n) + "} fragment f on Query { __schema { a } }"
		}, 1, "__schema or sdl more than once"},
		"sdl": {func(n int) string {
			return "{ __schema { a } " + strings.Repeat("...f ", n-1) + "} fragment f on Query { _service { sdl } }"
		}, 1, "__schema or sdl more than once"},
		"__type": {func(n int) string {
			return "{ " + strings.Repeat("...f ", n) + "} fragment f on Query { __type { a } }"
		}, maxTypeLookups, "__type 11 times"},
	} {
		for _, n := range []int{c.max, c.max + max(1, c.max/500)} {
			doc, parseErr := parser.ParseQuery(&ast.Source{Input: c.text(n)})
			if parseErr != nil {
				t.Fatalf("%s: %v", name, parseErr)
			}
			_, err := measure(doc)
			switch {
			case n == c.max && err != nil:
				t.Errorf("%s: %d are refused: %v", name, n, err)
			case n > c.max && (err == nil || err.Rule != tooComplexRule || !strings.Contains(err.Message, c.refuse)):
				t.Errorf("%s: %d get the error %v, want %q", name, n, err, c.refuse)
			}
		}
	}
}
