package cli

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// run carries out a command as a shell would and answers what it printed.
func run(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Run(context.Background(), args, Streams{
		In: strings.NewReader(stdin), Out: &out, Err: &err, InPiped: true,
	})
	return status, out.String(), err.String()
}

// buffer is a bytes.Buffer that several goroutines may use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
