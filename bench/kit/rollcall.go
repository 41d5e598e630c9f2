//go:build linux

package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// startTimeout is generous for a loaded machine.
const startTimeout = time.Minute

// Server is Rollcall in a process of its own, with its default settings except for its address and
// limits.
type Server struct {
	*Process
	Debug
	// Address is the HOST:PORT at which it serves.
	Address string
}

// Serve starts the server on a database, with these settings, and returns once it is ready. The lab
// stops it at the end.
func (l *Lab) Serve(ctx context.Context, database string, settings ...string) (*Server, error) {
	s, err := l.Spawn(ctx, database, settings...)
	if err != nil {
		return nil, err
	}
	return s, s.AwaitAnswer(ctx, s.Address, "/readyz")
}

// AwaitAnswer sends requests to an HTTP server in the process until one succeeds.
func (p *Process) AwaitAnswer(ctx context.Context, address, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := get(ctx, "http://"+address+path)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-p.exited:
			return p.Wrap(errors.New("it ended at once"))
		case <-ctx.Done():
			return p.Wrap(err)
		}
	}
}

// Spawn starts the server and does not wait until it is ready.
func (l *Lab) Spawn(ctx context.Context, database string, settings ...string) (*Server, error) {
	binary, err := l.Build(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	if s.Address, err = FreeAddress(); err != nil {
		return nil, err
	}
	if s.DebugAddress, err = FreeAddress(); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve")
	cmd.Env = environment(database, append([]string{
		"ROLLCALL_LISTEN=" + s.Address, "ROLLCALL_OPS_LISTEN=" + s.DebugAddress, "ROLLCALL_LOG_LEVEL=warn",
		// All clients are on one machine, and one user's devices make all the changes.
		"ROLLCALL_RATE_LIMITS=off", "ROLLCALL_CONNECTIONS_PER_ADDRESS=0",
		// The App Server of row 13 is on this machine too.
		"ROLLCALL_WEBHOOK_ALLOW_PRIVATE=true",
	}, settings...)...)
	if s.Process, err = start("the server", cmd); err != nil {
		return nil, err
	}
	l.atEnd(s.Stop)
	return s, nil
}

// environment returns the environment of this process without Rollcall's settings, plus these.
func environment(database string, settings ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "ROLLCALL_") {
			env = append(env, entry)
		}
	}
	return append(append(env, "ROLLCALL_DATABASE_URL="+database), settings...)
}

// command runs one of the server's other commands and returns its output.
func (l *Lab) command(ctx context.Context, database string, args ...string) ([]byte, error) {
	binary, err := l.Build(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment(database)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rollcall %s: %w\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return out, nil
}

// Ask executes one operation with the token and decodes its data into out.
func (s *Server) Ask(ctx context.Context, token, query string, variables, out any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s.Wrap(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Data   any             `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}{Data: out}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Errors != nil {
		return fmt.Errorf("%s: response %s %s", query, resp.Status, text)
	}
	return nil
}

// Metric returns the value of a metric without labels.
func (s *Server) Metric(ctx context.Context, name string) (float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("unknown metric %s", name)
}

// Await waits until a metric has a value.
func (s *Server) Await(ctx context.Context, name string, value float64) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		got, err := s.Metric(ctx, name)
		if err != nil || got == value {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s stays %v instead of becoming %v", name, got, value)
		}
	}
}
