package graph_test

import (
	goast "go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph"
	"rollcall/graph/generated"
	"rollcall/graph/graphtest"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/models"
)

// ours returns the definitions of this project.
func ours(schema *ast.Schema) map[string]*ast.Definition {
	out := make(map[string]*ast.Definition)
	for name, def := range schema.Types {
		if !def.BuiltIn && !strings.HasPrefix(name, "__") {
			out[name] = def
		}
	}
	return out
}

func schema() *ast.Schema {
	return generated.NewExecutableSchema(generated.Config{Resolvers: &graph.Resolver{}}).Schema()
}

func TestSchema_EveryRootFieldHasAuth(t *testing.T) {
	s := schema()
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			mark := field.Directives.ForName("auth")
			if mark == nil || len(mark.Arguments.ForName("to").Value.Children) == 0 {
				t.Errorf("%s.%s has no @auth: no caller may use it", root.Name, field.Name)
			}
		}
	}
}

// TestSchema_ErrorCodesAreThoseOfFaults compares the enum with the constants of package fault.
func TestSchema_ErrorCodesAreThoseOfFaults(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes, values []string
	goast.Inspect(file, func(n goast.Node) bool {
		if spec, ok := n.(*goast.ValueSpec); ok {
			if typ, ok := spec.Type.(*goast.Ident); ok && typ.Name == "Code" {
				code, err := strconv.Unquote(spec.Values[0].(*goast.BasicLit).Value)
				if err != nil {
					t.Error(err)
				}
				codes = append(codes, code)
			}
		}
		return true
	})
	for _, value := range schema().Types["ErrorCode"].EnumValues {
		values = append(values, value.Name)
	}
	slices.Sort(codes)
	slices.Sort(values)
	if len(codes) == 0 || !slices.Equal(codes, values) {
		t.Errorf("package fault has the codes\n%q, ErrorCode\n%q", codes, values)
	}
}

func TestSchema_EverythingIsDescribed(t *testing.T) {
	s := schema()
	for name, def := range ours(s) {
		if def.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for _, value := range def.EnumValues {
			if value.Description == "" {
				t.Errorf("%s.%s has no description", name, value.Name)
			}
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			if field.Description == "" {
				t.Errorf("%s.%s has no description", name, field.Name)
			}
			for _, arg := range field.Arguments {
				if arg.Description == "" {
					t.Errorf("%s.%s(%s) has no description", name, field.Name, arg.Name)
				}
			}
		}
	}
}

// TestSchema_EveryInputIsValidated: each list and ID in the inputs has a rule.
func TestSchema_EveryInputIsValidated(t *testing.T) {
	s := schema()
	for name, def := range ours(s) {
		if def.Kind == ast.InputObject {
			for _, field := range def.Fields {
				if field.Directives.ForName("goTag") == nil && s.Types[field.Type.Name()].Kind == ast.Scalar &&
					field.Type.Name() != "DateTime" && field.Type.Name() != "Boolean" {
					t.Errorf("%s.%s has no rule", name, field.Name)
				}
			}
			continue
		}
		for _, field := range def.Fields {
			for _, arg := range field.Arguments {
				kind := arg.Type.Name()
				if (kind == "ID" || arg.Type.Elem != nil) && s.Types[kind].Kind == ast.Scalar &&
					arg.Directives.ForName("validate") == nil && !strings.HasPrefix(name, "__") && !strings.HasPrefix(field.Name, "__") {
					t.Errorf("%s.%s(%s) has no rule", name, field.Name, arg.Name)
				}
			}
		}
	}
}

// TestSchema_ZeroInputsDoNotPanic: the validator panics on types that it does not support.
func TestSchema_ZeroInputsDoNotPanic(t *testing.T) {
	v := validate.New()
	inputs := []any{
		generated.AddFriendInput{}, generated.BanUsersInput{}, generated.BlocklistInput{}, generated.DeactivateUsersInput{},
		generated.DisconnectUserInput{}, generated.ReactivateUsersInput{}, generated.RegisterUsersInput{}, generated.UnbanUsersInput{}, generated.UpdateMeInput{},
		generated.ExpireTokensInput{}, generated.FriendRequestInput{}, generated.IssueAppTokenInput{}, generated.IssueUserTokenInput{}, generated.MessagePair{},
		generated.RegisterUserInput{}, generated.RemoveFriendInput{}, generated.SendFriendRequestInput{}, generated.SetFriendRemarkInput{},
		generated.SetFriendRequestPolicyInput{},
		generated.SetWhitelistEnabledInput{}, generated.UpdateUserInput{}, generated.UserFilter{}, generated.WhitelistInput{},
		generated.SetStatusInput{}, generated.SubscribeStatusInput{}, generated.UnsubscribeStatusInput{}, generated.LogoutInput{},
		generated.CreateWebhookEndpointInput{}, generated.UpdateWebhookEndpointInput{}, generated.DeleteWebhookEndpointInput{},
		generated.RotateWebhookSecretInput{}, generated.TestWebhookEndpointInput{}, generated.ReplayWebhookDeliveryInput{},
		generated.ReplayWebhookDeliveriesInput{},
	}
	tested := make(map[string]bool)
	for _, input := range inputs {
		name := reflect.TypeOf(input).Name()
		tested[name] = true
		if err := v.Struct("input", input); err != nil && fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("the zero %s: %v", name, err)
		}
	}
	for name, def := range ours(schema()) {
		if def.Kind == ast.InputObject && !tested[name] {
			t.Errorf("add %s to this test", name)
		}
	}
}

// TestAuth_EveryRootField calls every root field as each kind of caller that its @auth does not
// list.
func TestAuth_EveryRootField(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		bearer := map[string]string{
			"GUEST":      "",
			"APP_SERVER": w.Bearer(graphtest.AppServer),
			"USER":       w.Bearer("ann"),
		}
		s := schema()
		for _, root := range []*ast.Definition{s.Query, s.Mutation} {
			for _, field := range root.Fields {
				if strings.HasPrefix(field.Name, "__") {
					continue
				}
				let := field.Directives.ForName("auth").Arguments.ForName("to").Value.String()
				for kind, authorization := range bearer {
					if strings.Contains(let, kind) {
						continue
					}
					want := "FORBIDDEN"
					if kind == "GUEST" {
						want = "UNAUTHENTICATED"
					}
					query, variables := example(s, root, field)
					if r := w.Do(authorization, query, variables); r.Code() != want {
						w.T.Errorf("%s as %s: code %q, want %s: %s", field.Name, kind, r.Code(), want, r.Body)
					}
				}
			}
		}
	})
}

// example writes an operation that selects one root field with arguments of the right types.
func example(s *ast.Schema, root *ast.Definition, field *ast.FieldDefinition) (string, map[string]any) {
	variables := make(map[string]any)
	var declared, given []string
	for _, arg := range field.Arguments {
		if !arg.Type.NonNull {
			continue
		}
		declared = append(declared, "$"+arg.Name+": "+arg.Type.String())
		given = append(given, arg.Name+": $"+arg.Name)
		variables[arg.Name] = exampleValue(s, arg.Type)
	}
	query := strings.ToLower(root.Name)
	if declared != nil {
		query += "(" + strings.Join(declared, ", ") + ")"
	}
	query += " { " + field.Name
	if given != nil {
		query += "(" + strings.Join(given, ", ") + ")"
	}
	if !s.Types[field.Type.Name()].IsLeafType() {
		query += " { __typename }"
	}
	return query + " }", variables
}

func exampleValue(s *ast.Schema, typ *ast.Type) any {
	if typ.Elem != nil {
		return []any{exampleValue(s, typ.Elem)}
	}
	def := s.Types[typ.Name()]
	switch {
	case def.Kind == ast.InputObject:
		out := make(map[string]any)
		for _, field := range def.Fields {
			if field.Type.NonNull || field.Name == "all" { // instead of a list of IDs
				out[field.Name] = exampleValue(s, field.Type)
			}
			if field.Name == "requestId" {
				out[field.Name] = models.RequestNode.ID("x")
			}
		}
		return out
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case typ.Name() == "Int":
		return 1
	case typ.Name() == "Boolean":
		return true
	case typ.Name() == "_Any":
		return map[string]any{"__typename": "User", "id": "x"}
	case typ.Name() == "DateTime":
		return "2026-11-20T08:15:30.123Z"
	}
	return "x"
}
