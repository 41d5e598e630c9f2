// Generate writes the Go code that follows from the GraphQL schema: gqlgen's, as
// gqlgen.yml has it, and what package selection has to know of the types.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/99designs/gqlgen/api"
	"github.com/99designs/gqlgen/codegen/config"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg, err := config.LoadConfigFromDefaultLocations()
	if err != nil {
		return fmt.Errorf("read gqlgen's configuration: %w", err)
	}
	p := plugin{filepath.Join(cfg.Exec.Dir(), "selections.go")}
	// As gqlgen does with its own files: what is there may not fit what follows.
	if err := os.Remove(p.filename); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the old code: %w", err)
	}
	return api.Generate(cfg, api.AddPlugin(p))
}
