// Package listen serves the programs that the server is compared with, and prints their addresses.
package listen

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	_ "net/http/pprof" // on the debug address
	"os"
)

// Addresses is what a program prints as JSON once it serves: its HOST:PORT, and that of its
// profiles and counters.
type Addresses struct {
	Address string `json:"address"`
	Debug   string `json:"debug"`
}

// Until serves on free loopback ports until ctx ends, and prints the Addresses.
func Until(ctx context.Context, handler http.Handler) error {
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	debug, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(public, handler) }()
	go func() { failed <- http.Serve(debug, http.DefaultServeMux) }()
	err = json.NewEncoder(os.Stdout).Encode(Addresses{public.Addr().String(), debug.Addr().String()})
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return errors.Join(errors.New("serving"), err)
	case <-ctx.Done():
		return nil
	}
}
