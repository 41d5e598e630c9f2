// Generate writes the Go code that is generated from the GraphQL schema: gqlgen's, as configured in
// gqlgen.yml, and the descriptions of the types for package selection.
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
	// gqlgen does the same with its own files: the existing code may not compile with the new code.
	if err := os.Remove(p.filename); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the old code: %w", err)
	}
	return api.Generate(cfg, api.AddPlugin(p))
}
