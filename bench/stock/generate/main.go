// Generate writes the comparator's Go code from the GraphQL schema, as gqlgen does with the
// gqlgen.yml of the working directory.
package main

import (
	"fmt"
	"os"

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
	return api.Generate(cfg)
}
