package requestid_test

import (
	"context"
	"strings"
	"testing"

	"rollcall/graph/requestid"
)

func TestOf_KeepsWellFormedIDs(t *testing.T) {
	for _, id := range []string{"a", "Req-1.2_3", strings.Repeat("x", 64)} {
		if got := requestid.Of(id); got != id {
			t.Errorf("Of(%q) = %q, want it unchanged", id, got)
		}
	}
	for _, id := range []string{"", "a b", "a\nb", "é", `"`, strings.Repeat("x", 65)} {
		got := requestid.Of(id)
		if got == id || requestid.Of(got) != got {
			t.Errorf("Of(%q) = %q, want a new well-formed ID", id, got)
		}
	}
}

func TestContext(t *testing.T) {
	if got := requestid.From(context.Background()); got != "" {
		t.Errorf("From(empty) = %q", got)
	}
	if got := requestid.From(requestid.With(context.Background(), "x")); got != "x" {
		t.Errorf("From(With(x)) = %q", got)
	}
	if first, second := requestid.New(), requestid.New(); first == second {
		t.Error("New returned the same ID twice")
	}
}
