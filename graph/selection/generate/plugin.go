package main

import (
	_ "embed"
	"fmt"
	"go/types"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/codegen"
	"github.com/99designs/gqlgen/codegen/config"
	"github.com/99designs/gqlgen/codegen/templates"
	"github.com/vektah/gqlparser/v2/ast"
)

//go:embed selections.gotpl
var template string

// plugin is a plugin of gqlgen that generates the table of the fields that package selection may
// encode directly, and how.
type plugin struct{ filename string }

// Name names the plugin to gqlgen.
func (plugin) Name() string { return "selection" }

// GenerateCode writes the file.
func (p plugin) GenerateCode(data *codegen.Data) error {
	return templates.Render(templates.Options{
		PackageName:     data.Config.Exec.Package,
		Filename:        p.filename,
		Template:        template,
		Data:            objects(data),
		GeneratedHeader: true,
		Packages:        data.Config.Packages,
		PruneOptions:    data.Config.GetPruneOptions(),
	})
}

// object is an object type with the fields that can be encoded directly.
type object struct {
	*codegen.Object
	Fields []field
}

// HasInline reports whether one of the fields has a resolver.
func (o object) HasInline() bool {
	return slices.ContainsFunc(o.Fields, func(f field) bool { return f.IsResolver })
}

// Resolvers returns the name of the Go variable with the resolvers of the type. They are fetched
// once, not for each object.
func (o object) Resolvers() string { return templates.ToGoPrivate(o.Name) + "Resolvers" }

// field is a field that can be encoded directly.
type field struct {
	*codegen.Field
	// Pointer reports whether a leaf is null if its pointer is nil.
	Pointer bool
}

func objects(data *codegen.Data) []object {
	var list []object
	for _, o := range data.Objects {
		if o.Root || strings.HasPrefix(o.Name, "__") {
			continue
		}
		out := object{Object: o}
		for _, f := range o.Fields {
			if isRead(f) || isInline(f) {
				if isLeaf(f) && canEncode(f.TypeReference) || f.TypeReference.Definition.Kind == ast.Object {
					out.Fields = append(out.Fields, field{f, f.TypeReference.IsPtr()})
				}
			}
		}
		list = append(list, out)
	}
	return list
}

// inlineMark is the schema's directive on fields whose resolver may be called directly.
const inlineMark = "goInline"

// isRead reports whether the field is read from its Go struct, or by a method that is equivalent to
// that, without anything else having to run.
func isRead(f *codegen.Field) bool {
	if f.IsResolver || f.HasHaser || !isPlain(f) {
		return false
	}
	return f.IsVariable() || f.IsMethod() && !f.MethodHasContext && f.NoErr && !f.VOkFunc
}

// isInline reports whether the field has a resolver that may be called directly.
func isInline(f *codegen.Field) bool {
	return f.IsResolver && !f.IsBatch() && f.FieldDefinition.Directives.ForName(inlineMark) != nil && isPlain(f)
}

// plainMarks are directives that do not affect how a field is resolved: those that only control how
// the Go code is generated, the one that documents the field's scalar, and those that describe its
// object to a federated graph.
var plainMarks = []string{inlineMark, "goField", "goTag", "specifiedBy", "key", "shareable"}

// isPlain reports whether the field has no arguments, and neither the field nor its type has
// directives other than plainMarks.
func isPlain(f *codegen.Field) bool {
	for _, d := range f.Directives {
		if !slices.Contains(plainMarks, d.Name) {
			return false
		}
	}
	return len(f.Args) == 0
}

func isLeaf(f *codegen.Field) bool { return f.TypeReference.Definition.IsLeafType() }

// canEncode reports whether the Go value of a leaf is marshalled in a plain way: by itself or a
// function, without a context, and null only where the schema allows it.
func canEncode(t *config.TypeReference) bool {
	switch {
	case t.IsSlice(), t.IsContext, t.HasEnumValues(), t.IsOmittable:
		return false
	case t.IsPtr():
		return !t.GQL.NonNull && !t.IsPtrToPtr() && !t.IsPtrToSlice() && !t.IsPtrToIntf() && !t.IsTargetNilable()
	}
	return !t.IsNilable() && !t.IsTargetNilable() && (t.IsMarshaler || t.Marshaler != nil)
}

// Write returns the Go expression that writes the value v of a leaf.
func (f field) Write() string {
	t := f.TypeReference
	v := "v"
	if f.Pointer {
		v = "*v"
	}
	if t.IsMarshaler {
		return "e.Marshal(" + v + ")"
	}
	method := builtin(t.Marshaler)
	base := t.Marshaler.Signature().Params().At(0).Type()
	value := t.GO
	if f.Pointer {
		value = value.(*types.Pointer).Elem()
	}
	if !types.Identical(value, base) {
		v = fmt.Sprintf("%s(%s)", templates.CurrentImports.LookupType(base), v)
	}
	if method != "" {
		return "e." + method + "(" + v + ")"
	}
	return "e.Marshal(" + templates.Call(t.Marshaler) + "(" + v + "))"
}

// builtin returns the Encoder's method that writes the same as a marshal function, or "" if there is
// none.
func builtin(marshaler *types.Func) string {
	return map[string]string{
		"github.com/99designs/gqlgen/graphql.MarshalString":  "String",
		"github.com/99designs/gqlgen/graphql.MarshalInt":     "Int",
		"github.com/99designs/gqlgen/graphql.MarshalBoolean": "Boolean",
		"rollcall/graph/scalar.MarshalID":                    "String",
		"rollcall/graph/scalar.MarshalURL":                   "String",
	}[marshaler.FullName()]
}

// Leaf reports whether the field is a scalar or an enum.
func (f field) Leaf() bool { return isLeaf(f.Field) }
