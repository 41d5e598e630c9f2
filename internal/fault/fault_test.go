package fault

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestWrap(t *testing.T) {
	refusal := fmt.Errorf("item 3: %w", New(UserNotFound, "there is no user"))
	cause := errors.New("disk full")
	for _, test := range []struct {
		err  error
		text string
		code Code
	}{
		{nil, "<nil>", ""},
		{refusal, "item 3: USER_NOT_FOUND: there is no user", UserNotFound},
		{cause, "adding a user: disk full", Internal},
	} {
		got := Wrap(test.err, "adding a user")
		if fmt.Sprint(got) != test.text || !errors.Is(got, test.err) || CodeOf(got) != test.code {
			t.Errorf("Wrap(%v) = %v with the code %q, want %q with %q", test.err, got, CodeOf(got), test.text, test.code)
		}
		if e, ok := As(got); ok != (test.err == refusal) || ok && e.Code != test.code {
			t.Errorf("As(%v) = %v, %t", got, e, ok)
		}
	}
}

func TestAll_ReturnsEachErrorOfTheTree(t *testing.T) {
	one, two := Invalid("name", "max", "too long"), Invalid("url", "https", "no https")
	err := fmt.Errorf("checking: %w", errors.Join(one, errors.New("disk full"), fmt.Errorf("then: %w", two)))
	if got := All(err); !slices.Equal(got, []*Error{one, two}) {
		t.Errorf("All(%v) = %v", err, got)
	}
	if got := All(nil); got != nil {
		t.Errorf("All(nil) = %v", got)
	}
}
