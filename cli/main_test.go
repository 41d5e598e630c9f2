package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// run runs a command as a shell would, and returns its status and what it printed.
func run(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Run(context.Background(), args, Streams{
		In: strings.NewReader(stdin), Out: &out, Err: &err, InPiped: true,
	})
	return status, out.String(), err.String()
}
