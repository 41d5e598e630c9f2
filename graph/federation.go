package graph

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/plugin/federation/fedruntime"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/generated"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/models"
)

// representations implements the schema's @representations. gqlgen's federation plugin resolves all
// representations of an operation in one call, but one that is malformed makes it refuse the others.
type representations struct {
	// idRule is the rule for the ID of a user.
	idRule string
}

// newRepresentations returns the form of representations: their IDs have the form that `user`
// requires in the source schema.
func newRepresentations(source *ast.Schema) representations {
	return representations{argumentRule(source.Query.Fields.ForName("user").Arguments.ForName("id"))}
}

// resolve resolves the field `_entities`: it adds an error at the place of each malformed
// representation, and passes the others to next.
func (r representations) resolve(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	fc := graphql.GetFieldContext(ctx)
	given := fc.Args["representations"].([]map[string]any)
	var valid []map[string]any
	var places []int
	for i, representation := range given {
		if err := r.check(fmt.Sprintf("representations.%d", i), representation); err != nil {
			graphql.AddError(graphql.WithPathContext(ctx, graphql.NewPathWithIndex(i)), err)
			continue
		}
		valid = append(valid, representation)
		places = append(places, i)
	}
	entities := make([]fedruntime.Entity, len(given))
	if len(valid) == 0 {
		return entities, nil
	}
	fc.Args["representations"] = valid // the plugin reads them there
	resolved, err := next(ctx)
	if err != nil {
		return nil, err
	}
	for i, entity := range resolved.([]fedruntime.Entity) {
		entities[places[i]] = entity
	}
	return entities, nil
}

// check returns fault.InvalidArgument if the representation at path is not that of a user.
func (r representations) check(path string, representation map[string]any) error {
	if representation == nil {
		return fault.Invalid(path, "type", "%s must be an object", path)
	}
	for _, name := range slices.Sorted(maps.Keys(representation)) {
		if name != "__typename" && name != "id" {
			return fault.Invalid(path+"."+name, "known", "%s.%s is not a field of the key", path, name)
		}
	}
	for _, name := range []string{"__typename", "id"} {
		if _, given := representation[name]; !given {
			return fault.Invalid(path+"."+name, "required", "%s.%s is required", path, name)
		}
	}
	if representation["__typename"] != "User" {
		return fault.Invalid(path+".__typename", "type", `%s.__typename must be "User"`, path)
	}
	id, ok := representation["id"].(string)
	if !ok {
		return fault.Invalid(path+".id", "type", "%s.id must be a string", path)
	}
	return validate.Value(path+".id", id, r.idRule)
}

// subgraph implements the schema's @subgraph. The plugin itself would return the source of the
// schema, with directives that are not for callers.
func subgraph(context.Context, any, graphql.Resolver) (any, error) {
	return fedruntime.Service{SDL: SubgraphSDL()}, nil
}

// FindManyUserByIDs returns the users with these IDs, in their order and nil for unknown ones.
func (r *entityResolver) FindManyUserByIDs(ctx context.Context, representations []*generated.UserByIDsInput) ([]*models.User, error) {
	ids := make([]string, len(representations))
	for i, representation := range representations {
		ids[i] = representation.ID
	}
	return r.Query().Users(ctx, ids)
}

// Entity returns the resolvers of the entities of a federated graph.
func (r *Resolver) Entity() generated.EntityResolver { return &entityResolver{r} }

type entityResolver struct{ *Resolver }
