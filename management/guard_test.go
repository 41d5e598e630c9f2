package management

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/management/generated"
	"rollcall/models"
)

func schema() *ast.Schema {
	return generated.NewExecutableSchema(generated.Config{}).Schema()
}

// ours returns the definitions of this API.
func ours() (list []*ast.Definition) {
	for name, def := range schema().Types {
		if !def.BuiltIn && !strings.HasPrefix(name, "__") {
			list = append(list, def)
		}
	}
	return list
}

func TestSchema_EveryFieldHasARight(t *testing.T) {
	for _, def := range ours() {
		if def.Kind != ast.Object {
			continue
		}
		root := def.Name == "Query" || def.Name == "Mutation"
		if root && def.Directives.ForName("needs") != nil {
			t.Errorf("%s opens all its fields", def.Name)
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			if _, marked := rightOf(def, field); !marked {
				t.Errorf("%s.%s has no right: no caller may use it", def.Name, field.Name)
			}
		}
	}
	for _, value := range schema().Types["Right"].EnumValues {
		if _, known := rightsByName[value.Name]; !known {
			t.Errorf("the right %s is unknown", value.Name)
		}
	}
}

func TestSchema_DescribesEverything(t *testing.T) {
	described := func(name, description string) {
		t.Helper()
		if text := strings.TrimSpace(description); text == "" || !strings.HasSuffix(text, ".") && !strings.Contains(text, "Example: ") {
			t.Errorf("%s is described as %q", name, description)
		}
	}
	for _, def := range ours() {
		described(def.Name, def.Description)
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			described(def.Name+"."+field.Name, field.Description)
			for _, arg := range field.Arguments {
				described(def.Name+"."+field.Name+"."+arg.Name, arg.Description)
			}
		}
		for _, value := range def.EnumValues {
			described(def.Name+"."+value.Name, value.Description)
		}
	}
	newGuard(schema())
	if text := schema().Mutation.Fields.ForName("createApp").Description; !strings.HasSuffix(text, "\n\nNeeds the role ADMIN for all apps.") {
		t.Errorf("createApp is described as %q", text)
	}
}

func TestSchema_HasAllSettings(t *testing.T) {
	var names []string
	for _, field := range schema().Types["AppSettingsInput"].Fields {
		names = append(names, field.Name)
	}
	slices.Sort(names)
	if known := apps.SettingNames(); !slices.Equal(names, known) {
		t.Errorf("the input has %q, and the rules %q", names, known)
	}
}

// TestGuard_ClosesFieldsWithoutAMark asks for an unmarked field as an owner.
func TestGuard_ClosesFieldsWithoutAMark(t *testing.T) {
	ctx := context.WithValue(t.Context(), callKey{}, &call{KeyUse: &operators.KeyUse{Grant: models.Grant{Role: models.RoleOwner, AllApps: true}}})
	check := func(object string, field *ast.FieldDefinition) error {
		return newGuard(schema()).check(graphql.WithFieldContext(ctx, &graphql.FieldContext{
			Object: object, Field: graphql.CollectedField{Field: &ast.Field{Name: field.Name, Definition: field}},
		}))
	}
	if err := check("Query", &ast.FieldDefinition{Name: "secrets"}); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("an unmarked field: %v", err)
	}
	if err := check("Query", schema().Query.Fields.ForName("apiKeys")); err != nil {
		t.Errorf("a marked field: %v", err)
	}
}
