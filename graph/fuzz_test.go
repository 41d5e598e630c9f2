package graph_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph"
	"rollcall/graph/auth"
	"rollcall/internal/apps"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
	"rollcall/node"
)

const (
	// maxFuzzedCPU is the maximum CPU time of one document, several times that of the most
	// expensive known one; the fuzzer's instrumentation counts too.
	maxFuzzedCPU = 4 * time.Second
	// maxFuzzedAnswer is more than a response may have.
	maxFuzzedAnswer = graph.DefaultMaxResponse + 1<<20
)

// FuzzDocument parses, measures, validates, plans and executes documents for an App Server and for
// a guest. Each input is used as a document, and as the choices of a grammar that generates another
// one: most texts that a fuzzer generates are not GraphQL. Run it with -fuzzminimizetime 5x:
// goroutines make the coverage vary, so minimizing would not terminate.
func FuzzDocument(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		if text := hostile[name].text; len(text) < 64<<10 {
			f.Add(text, []byte(nil))
		}
	}
	for seed := range byte(40) {
		choices := make([]byte, 40+20*int(seed))
		for i := range choices {
			choices[i] = byte(i*i)*7 + byte(i)*seed*13 + seed
		}
		f.Add("", choices)
	}
	w := newFuzzWorld(f)
	f.Fuzz(func(t *testing.T, document string, choices []byte) {
		for text, operation := range map[string]string{document: "", grammar(w.schema, choices): "q0"} {
			for _, ctx := range w.callers {
				began := cpuTime()
				resp := executeAs(w.executor, ctx, text, operation)
				if took := cpuTime() - began; took > maxFuzzedCPU {
					t.Errorf("%s of CPU time for %q", took, text)
				}
				checkResponse(t, resp, fmt.Sprintf("%q", text))
			}
		}
	})
}

// fuzzWorld executes fuzzed documents.
type fuzzWorld struct {
	executor *graph.Executor
	schema   *ast.Schema
	callers  []context.Context
}

func newFuzzWorld(f *testing.F) fuzzWorld {
	f.Helper()
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	n, err := node.New(ctx, node.Config{
		DB: testenv.Open(f, testenv.SQLiteURL(f)), Logger: log, Clock: time.Now, Introspection: true,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = n.Close(ctx) })
	app, secret, err := n.Apps.Create(ctx, apps.NewApp{
		Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
	}, models.Actor{})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 20 {
		if _, err := n.Users.Register(ctx, app, users.Registration{ID: fmt.Sprint("u", i), Name: "U"}); err != nil {
			f.Fatal(err)
		}
	}
	text, _, err := n.Apps.IssueToken(ctx, app.Key, secret, 24*time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	server, err := (&auth.Authenticator{Users: n.Users}).Authenticate(ctx, "Bearer "+text)
	if err != nil {
		f.Fatal(err)
	}
	return fuzzWorld{executor: n.Executor, schema: schema(), callers: []context.Context{ctx, auth.With(ctx, server)}}
}

// executeAs executes an operation of a document. A subscription is only prepared.
func executeAs(e *graph.Executor, ctx context.Context, text, operation string) *graphql.Response {
	return executeWith(e, ctx, &graphql.RawParams{Query: text, OperationName: operation})
}

// executeWith executes the operation in params.
func executeWith(e *graph.Executor, ctx context.Context, params *graphql.RawParams) *graphql.Response {
	ctx = graphql.StartOperationTrace(ctx)
	op, errs := e.CreateOperationContext(ctx, params)
	if errs != nil {
		return e.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	}
	if op.Operation.Operation == ast.Subscription {
		return nil
	}
	responses, ctx := e.DispatchOperation(ctx, op)
	return responses(ctx)
}

// cpuTime returns the CPU time that the process has used, to which other processes do not
// contribute.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// grammar generates a document from choices. It is mostly valid: the fields exist, required
// arguments are given, and fragments are on the types where they are spread.
func grammar(schema *ast.Schema, choices []byte) string {
	g := &generator{schema: schema, choices: choices}
	roots := []*ast.Definition{schema.Query, schema.Query, schema.Query, schema.Mutation, schema.Subscription}
	more := g.choose(8) / 7 * g.choose(24)
	for i := range 1 + more {
		root := roots[g.choose(len(roots))]
		fmt.Fprintf(&g.out, "%s q%d", strings.ToLower(root.Name), i)
		g.set(root, 0)
		if g.out.Len() > maxGenerated {
			break
		}
	}
	// A fragment that has been spread spreads later fragments, or any.
	for i := 0; i < len(g.fragments) && g.out.Len() < 2*maxGenerated; i++ {
		g.written = i + 1
		fmt.Fprintf(&g.out, " fragment f%d on %s", i, g.fragments[i].Name)
		g.set(g.fragments[i], 0)
	}
	return g.out.String()
}

// maxGenerated limits the generated text, in bytes.
const maxGenerated = 32 << 10

// generator writes a document according to choices. It ends the document when they are used up.
type generator struct {
	schema  *ast.Schema
	choices []byte
	out     strings.Builder
	// fragments are the types of the fragments that have been spread, by number.
	fragments []*ast.Definition
	// written is how many fragments have been written or begun.
	written int
	aliases int
}

// choose returns a number below n.
func (g *generator) choose(n int) int {
	if len(g.choices) == 0 || g.out.Len() > maxGenerated {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

// often returns a number that is occasionally large.
func (g *generator) often() int {
	return [...]int{1, 1, 2, 3, 8, 40, 200, 1000}[g.choose(8)]
}

// set writes a selection set.
func (g *generator) set(on *ast.Definition, depth int) {
	g.out.WriteString(" { __typename ")
	if len(g.choices) > 0 && depth < 60 {
		for range 1 + g.choose(4) {
			g.selection(on, depth)
		}
	}
	g.out.WriteString("} ")
}

// selection writes one selection, or the same one many times.
func (g *generator) selection(on *ast.Definition, depth int) {
	switch g.choose(12) {
	case 0, 1, 2:
		for n, f := g.often(), g.fragment(on); n > 0 && g.out.Len() < maxGenerated; n-- {
			fmt.Fprintf(&g.out, "...f%d%s ", f, g.directive())
		}
	case 3:
		n := g.often()
		for range n {
			g.out.WriteString("... {")
		}
		g.out.WriteString("...")
		g.set(on, depth+1)
		g.out.WriteString(strings.Repeat("}", n))
	case 4:
		fmt.Fprintf(&g.out, "... on %s%s", on.Name, g.directive())
		g.set(on, depth+1)
	default:
		g.field(on, depth)
	}
}

// fragment returns the number of a fragment on a type, a new or an existing one. It rarely leads to
// a cycle.
func (g *generator) fragment(on *ast.Definition) int {
	skip, first := g.choose(4), g.written
	if g.choose(256) == 255 {
		first = 0
	}
	for i, def := range g.fragments {
		if def == on && i >= first {
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	g.fragments = append(g.fragments, on)
	return len(g.fragments) - 1
}

// field writes a field, or many copies of it under different names or the same name.
func (g *generator) field(on *ast.Definition, depth int) {
	fields := on.Fields
	if len(fields) == 0 {
		return
	}
	field := fields[g.choose(len(fields))]
	if strings.HasPrefix(field.Name, "__") && g.choose(4) > 0 { // introspection should not dominate
		return
	}
	of := g.schema.Types[field.Type.Name()]
	n, alias := g.often(), g.choose(3)
	arguments := g.arguments(field)
	for i := 0; i < n && g.out.Len() < maxGenerated; i++ {
		switch alias {
		case 1:
			g.aliases++
			fmt.Fprintf(&g.out, "a%d: ", g.aliases)
		case 2:
			fmt.Fprintf(&g.out, "a%d: ", g.choose(3))
		}
		g.out.WriteString(field.Name + arguments + g.directive() + " ")
		if of.IsLeafType() {
			continue
		}
		if i > 0 && len(g.fragments) > 0 { // the same as before, more cheaply
			fmt.Fprintf(&g.out, "{ __typename ...f%d } ", g.fragment(of))
			continue
		}
		g.set(of, depth+1)
	}
}

func (g *generator) directive() string {
	if g.choose(6) > 0 {
		return ""
	}
	directives := [...]string{" @skip(if: false)", " @include(if: true)", " @skip(if: true)", " @skip"}
	return directives[min(g.choose(256)/85, 3)]
}

// arguments returns the required arguments of a field, and some of the others.
func (g *generator) arguments(field *ast.FieldDefinition) string {
	var list []string
	for _, arg := range field.Arguments {
		if arg.Type.NonNull && arg.DefaultValue == nil || g.choose(3) == 1 {
			list = append(list, arg.Name+": "+g.value(arg.Type, 0))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// value returns a value of a type, or occasionally of another type.
func (g *generator) value(t *ast.Type, depth int) string {
	switch def := g.schema.Types[t.NamedType]; {
	case t.Elem != nil:
		return "[" + strings.Repeat(g.value(t.Elem, depth+1)+", ", g.often()) + "]"
	case g.choose(256) == 255:
		n := g.often()
		return strings.Repeat("[", n) + `"x"` + strings.Repeat("]", n)
	case def.Kind == ast.InputObject && depth < 8:
		var list []string
		for _, field := range def.Fields {
			if field.Type.NonNull || g.choose(3) == 1 {
				list = append(list, field.Name+": "+g.value(field.Type, depth+1))
			}
		}
		return "{" + strings.Join(list, ", ") + "}"
	case def.Kind == ast.Enum:
		return def.EnumValues[g.choose(len(def.EnumValues))].Name
	}
	switch t.NamedType {
	case "Int", "Float":
		return fmt.Sprint(1 + g.choose(100))
	case "Boolean":
		return [...]string{"true", "false"}[g.choose(2)]
	}
	switch g.choose(8) {
	case 6:
		return fmt.Sprintf("%q", strings.Repeat("é", g.often()))
	case 7:
		return `"""` + strings.Repeat("\n ", g.often()) + `x"""`
	}
	return fmt.Sprintf(`"u%d"`, g.choose(25))
}
