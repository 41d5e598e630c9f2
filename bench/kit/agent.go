//go:build linux

package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// AgentCommand is the argument that makes this program an agent.
const AgentCommand = "agent"

// None is an empty argument or result.
type None struct{}

// stdio is a process's standard input and output as one stream.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// Agent serves a Swarm over standard input and output until they or ctx end.
func Agent(ctx context.Context) error {
	server := rpc.NewServer()
	if err := server.Register(&Swarm{}); err != nil {
		return err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.ServeConn(stdio{os.Stdin, os.Stdout})
	}()
	select {
	case <-served:
	case <-ctx.Done():
	}
	return nil
}

// SwarmAgent is a Swarm in a process of its own.
type SwarmAgent struct {
	process *Process
	client  *rpc.Client
}

// StartSwarm starts an agent. The lab stops it at the end.
func (l *Lab) StartSwarm() (*SwarmAgent, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, AgentCommand)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start("the load generator", cmd)
	if err != nil {
		return nil, err
	}
	l.atEnd(p.Stop)
	return &SwarmAgent{process: p, client: rpc.NewClient(stdio{out, in})}, nil
}

// Open makes the swarm open a crowd.
func (a *SwarmAgent) Open(ctx context.Context, crowd *Crowd) error {
	return a.call(ctx, "Swarm.Open", crowd, &None{})
}

// Storm makes the swarm open a crowd and returns how long that took.
func (a *SwarmAgent) Storm(ctx context.Context, crowd *Crowd) (took time.Duration, err error) {
	err = a.call(ctx, "Swarm.Storm", crowd, &took)
	return took, err
}

// HangUp makes the swarm close its WebSockets.
func (a *SwarmAgent) HangUp(ctx context.Context) error {
	return a.call(ctx, "Swarm.HangUp", &None{}, &None{})
}

// Play makes the swarm play a round.
func (a *SwarmAgent) Play(ctx context.Context, round *Round) (*Deliveries, error) {
	out := &Deliveries{}
	return out, a.call(ctx, "Swarm.Play", round, out)
}

// Stop closes the swarm's connections.
func (a *SwarmAgent) Stop() { a.process.Stop() }

func (a *SwarmAgent) call(ctx context.Context, method string, args, reply any) error {
	call := a.client.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(call.Error, rpc.ErrShutdown) || errors.Is(call.Error, io.ErrUnexpectedEOF) {
		return a.process.Wrap(call.Error)
	}
	if call.Error != nil {
		return fmt.Errorf("load generator: %w", call.Error)
	}
	return nil
}
