// Generate writes the Go code that is generated from the GraphQL schema: gqlgen's, as configured in
// gqlgen.yml, and the descriptions of the types for package selection.
package main

import (
	"errors"
	"fmt"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/99designs/gqlgen/api"
	"github.com/99designs/gqlgen/codegen/config"
	"github.com/99designs/gqlgen/plugin/modelgen"
	"github.com/vektah/gqlparser/v2/ast"
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
	subgraph, err := newSubgraph(cfg)
	if err != nil {
		return err
	}
	models := &modelgen.Plugin{MutateHook: modelgen.DefaultBuildMutateHook, FieldHook: notGivenIsZero}
	if err := api.Generate(cfg, api.AddPlugin(p), api.ReplacePlugin(models), api.ReplacePlugin(subgraph)); err != nil {
		return err
	}
	return withoutUnmarshalers(cfg.Exec.Filename)
}

// notGivenIsZero gives the optional texts, numbers, flags, IDs and enums of inputs Go types without
// pointers: in the API a value that is left out, null and a zero value mean the same.
func notGivenIsZero(td *ast.Definition, fd *ast.FieldDefinition, f *modelgen.Field) (*modelgen.Field, error) {
	if p, ok := f.Type.(*types.Pointer); ok && td.Kind == ast.InputObject {
		if _, basic := p.Elem().Underlying().(*types.Basic); basic {
			f.Type = p.Elem()
		}
	}
	return modelgen.DefaultFieldMutateHook(td, fd, f)
}

// unmarshalers match the statements of gqlgen's code that build a map of functions for input types
// and attach it to the context.
var unmarshalers = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^\tinputUnmarshalMap := graphql\.BuildUnmarshalerMap\((\n\t\t.*)*\n\t\)\n`),
	regexp.MustCompile(`(?m)^\t+ctx = graphql\.WithUnmarshalerMap\(ctx, inputUnmarshalMap\)\n`),
}

// withoutUnmarshalers removes that map from the code. Only graphql.UnmarshalInputFromContext reads
// it, which nothing here calls, and building it takes 25 of the 165 allocations of a short query.
func withoutUnmarshalers(filename string) error {
	code, err := os.ReadFile(filename)
	if err != nil {
		return err
	}
	for _, statement := range unmarshalers {
		if !statement.Match(code) {
			return fmt.Errorf("%s has no code that matches %s", filename, statement)
		}
		code = statement.ReplaceAll(code, nil)
	}
	return os.WriteFile(filename, code, 0o644)
}
