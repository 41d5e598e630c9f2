package main

import (
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/codegen/config"
	"github.com/99designs/gqlgen/plugin/federation"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
)

// subgraph is gqlgen's federation plugin for a schema that itself defines what the plugin would add
// to it, with descriptions and directives that the plugin does not write.
type subgraph struct{ *federation.Federation }

func newSubgraph(cfg *config.Config) (subgraph, error) {
	plugin, err := federation.New(cfg.Federation.Version, cfg)
	return subgraph{plugin}, err
}

// MutateConfig maps representations to a Go function that accepts any value, so that the error of a
// malformed one can be reported at its own place. It also says what gqlgen would find out and log:
// that entities have resolvers.
func (s subgraph) MutateConfig(cfg *config.Config) error {
	if err := s.Federation.MutateConfig(cfg); err != nil {
		return err
	}
	cfg.Models[anyScalar] = config.TypeMapEntry{Model: config.StringList{"rollcall/graph/scalar.Representation"}}
	model := cfg.Models["Entity"]
	model.Fields = make(map[string]config.TypeMapField)
	for _, entity := range s.Entities {
		for _, r := range entity.Resolvers {
			model.Fields[r.ResolverName] = config.TypeMapField{Resolver: true}
		}
	}
	cfg.Models["Entity"] = model
	return nil
}

const anyScalar = "_Any"

// InjectSourcesEarly returns the definitions of Federation's directives and their types.
func (s subgraph) InjectSourcesEarly() ([]*ast.Source, error) {
	sources, err := s.Federation.InjectSourcesEarly()
	if err != nil {
		return nil, err
	}
	return without(sources, func(name string) bool { return name == anyScalar })
}

// InjectSourcesLate returns the types from which the interface of the entities' resolver is
// generated.
func (s subgraph) InjectSourcesLate(schema *ast.Schema) ([]*ast.Source, error) {
	sources, err := s.Federation.InjectSourcesLate(schema)
	if err != nil {
		return nil, err
	}
	return without(sources, func(name string) bool { return schema.Types[name] != nil })
}

// without returns the sources without the types for which defined returns true and their extensions.
func without(sources []*ast.Source, defined func(name string) bool) ([]*ast.Source, error) {
	var out []*ast.Source
	for _, source := range sources {
		doc, err := parser.ParseSchema(source)
		if err != nil {
			return nil, fmt.Errorf("read what gqlgen adds to the schema: %w", err)
		}
		doc.Definitions = undefined(doc.Definitions, defined)
		doc.Extensions = undefined(doc.Extensions, defined)
		var text strings.Builder
		formatter.NewFormatter(&text, formatter.WithBuiltin()).FormatSchemaDocument(doc)
		out = append(out, &ast.Source{Name: source.Name, Input: text.String(), BuiltIn: source.BuiltIn})
	}
	return out, nil
}

func undefined(list ast.DefinitionList, defined func(name string) bool) ast.DefinitionList {
	var out ast.DefinitionList
	for _, def := range list {
		if !defined(def.Name) {
			out = append(out, def)
		}
	}
	return out
}
