package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gorm.io/gorm/schema"
)

// This file tests the arrows that docs/architecture.md forbids. Tests may import everything; so may
// testNode, and the examples, which are not part of the server. bench is a module of
// its own, and so is an example.

// testNode runs a node for tests.
const testNode = "graph/graphtest"

// arrow is an import, or the use of a table by a package.
type arrow struct{ from, to string }

// knownImports are the forbidden imports that still exist. Delete the line of one that is gone; never
// add one.
var knownImports = map[arrow]string{}

// knownTables are the uses of another package's table that still exist. Delete the line of one that
// is gone; never add one.
var knownTables = map[arrow]string{}

// rules are the packages that hold rules about a subject of their own. What one must tell another is
// an event on the bus. The audit is not among them: each rule writes to it.
var rules = []string{
	"internal/apps", "internal/appconnections", "internal/operators", "internal/presence", "internal/relations",
	"internal/subscriptions", "internal/users", "internal/webhooks",
}

// mechanisms are the packages below the rules.
var mechanisms = []string{
	"internal/bus", "internal/database", "internal/fanout", "internal/fault", "internal/jobs", "internal/outbox", "internal/page", "internal/ratelimit",
	"internal/redis", "internal/retention", "internal/throttle", "internal/tracing", "internal/userkey", "internal/userlock", "internal/validate",
}

// adapters are the packages through which the rules are reached.
var adapters = []string{"graph", "console", "management", "compat"}

// presenceLayers are the parts of presence from the lowest layer up. Those of one layer do not know
// each other.
var presenceLayers = [][]string{
	{"internal/presence/status"},
	{"internal/presence/mirror"},
	{"internal/presence/memory", "internal/presence/cluster", "internal/presence/circles"},
}

// presencePart returns the part of presence that has the package, and its layer; -1 if none has.
func presencePart(pkg string) (part string, layer int) {
	for layer, parts := range presenceLayers {
		if part := root(pkg, parts...); part != "" {
			return part, layer
		}
	}
	return "", -1
}

// sqlPackages have what is needed to send SQL to a database.
var sqlPackages = []string{"database/sql", "gorm.io", "github.com/go-sql-driver", "github.com/ncruces"}

// root returns the element of roots that has the package in its tree, or "" if none has.
func root(pkg string, roots ...string) string {
	at := slices.IndexFunc(roots, func(r string) bool { return pkg == r || strings.HasPrefix(pkg, r+"/") })
	if at < 0 {
		return ""
	}
	return roots[at]
}

// forbidden returns why the import must not be, or "" if it may be.
func forbidden(a arrow, ours bool) string {
	from, to := root(a.from, adapters...), root(a.to, adapters...)
	part, layer := presencePart(a.from)
	otherPart, otherLayer := presencePart(a.to)
	switch {
	case ours && root(a.from, "models", "migrations") != "":
		return "models and migrations import nothing of ours"
	case root(a.from, "internal") != "" && (to != "" || root(a.to, "cli", "node") != ""):
		return "what is internal knows neither adapters nor the node nor commands"
	case from != "" && to != "" && from != to:
		return "adapters do not know each other"
	case from != "" && root(a.to, "cli", "node") != "":
		return "adapters know neither the node nor the commands"
	case root(a.from, "node") != "" && root(a.to, "cli") != "":
		return "a node does not know the commands"
	case root(a.to, testNode) != "":
		return "a node for tests is not for the server"
	case from != "" && root(a.to, "internal/redis") != "":
		return "adapters reach Redis through the rules alone"
	case root(a.from, "internal", "models", "migrations") == "" && root(a.to, sqlPackages...) != "":
		return "SQL is internal"
	case root(a.from, mechanisms...) != "" && root(a.to, append(rules, "internal/audit")...) != "":
		return "mechanisms know no rules"
	case root(a.from, rules...) != "" && root(a.to, rules...) != "" && root(a.from, rules...) != root(a.to, rules...):
		return "rules about different subjects meet on the bus"
	case strings.HasPrefix(a.from, "internal/presence/") && a.to == "internal/presence":
		return "presence's parts do not know the Hub"
	case part != "" && part != otherPart && otherLayer >= layer:
		return "a part of presence knows the parts below it alone"
	case ours && a.from == "internal/fanout":
		return "fanout imports nothing of ours"
	}
	return ""
}

func TestForbidden(t *testing.T) {
	for a, want := range map[arrow]bool{
		{"models", "internal/page"}:                                       true,
		{"internal/users", "graph"}:                                       true,
		{"internal/users", "console/static"}:                              true,
		{"internal/users", "cli"}:                                         true,
		{"internal/users", "node"}:                                        true,
		{"graph/auth", "console"}:                                         true,
		{"management", "console"}:                                         true,
		{"management", "graph/scalar"}:                                    true,
		{"console", "graph/auth"}:                                         true,
		{"graph", "node"}:                                                 true,
		{"graph/transport", "node"}:                                       true,
		{"console", "node"}:                                               true,
		{"console", "cli"}:                                                true,
		{"node", "cli"}:                                                   true,
		{"node", "gorm.io/gorm"}:                                          true,
		{"node", "graph/graphtest"}:                                       true,
		{"graph/stream", "graph/graphtest"}:                               true,
		{"graph", "internal/redis"}:                                       true,
		{"console", "gorm.io/gorm"}:                                       true,
		{"cli", "database/sql"}:                                           true,
		{"internal/database", "internal/users"}:                           true,
		{"internal/users", "internal/relations"}:                          true,
		{"internal/presence/status", "internal/users"}:                    true,
		{"internal/presence/memory", "internal/presence"}:                 true,
		{"internal/presence/status", "internal/presence/mirror"}:          true,
		{"internal/presence/mirror", "internal/presence/memory"}:          true,
		{"internal/presence/circles", "internal/presence/memory"}:         true,
		{"internal/presence/cluster", "internal/presence/circles"}:        true,
		{"internal/fanout", "models"}:                                     true,
		{"internal/users", "internal/audit"}:                              false,
		{"internal/users", "gorm.io/gorm"}:                                false,
		{"internal/presence", "internal/presence/status"}:                 false,
		{"internal/presence", "internal/presence/cluster"}:                false,
		{"internal/presence/memory", "internal/presence/mirror"}:          false,
		{"internal/presence/cluster", "internal/presence/cluster/ledger"}: false,
		{"cli", "node"}:                                                   false,
		{"node", "graph"}:                                                 false,
		{"node", "console"}:                                               false,
		{"node", "management"}:                                            false,
		{"node", "internal/redis"}:                                        false,
		{"graph", "internal/redistribution"}:                              false,
	} {
		ours := root(a.to, "models", "internal", "graph", "console", "management", "cli", "node") != ""
		if got := forbidden(a, ours); (got != "") != want {
			t.Errorf("%s imports %s: %q", a.from, a.to, got)
		}
	}
}

// TestImports compares the imports of all packages with the arrows that must never be.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found, packages := map[arrow]string{}, 0
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		from := strings.TrimPrefix(names[0], "rollcall/")
		if root(from, "examples", testNode) != "" {
			continue
		}
		packages++
		for _, name := range names[1:] {
			to, ours := strings.CutPrefix(name, "rollcall/")
			if why := forbidden(arrow{from, to}, ours); why != "" {
				found[arrow{from, to}] = why
			}
		}
	}
	if packages < 20 {
		t.Errorf("go list found %d packages", packages)
	}
	compare(t, "imports", found, knownImports)
}

// compare fails the test for arrows that are not known, and for known ones that do not exist.
func compare(t *testing.T, verb string, found, known map[arrow]string) {
	t.Helper()
	for a, why := range found {
		if known[a] == "" {
			t.Errorf("%s %s %s: %s", a.from, verb, a.to, why)
		}
	}
	for a := range known {
		if found[a] == "" {
			t.Errorf("%s no longer %s %s: delete the line", a.from, verb, a.to)
		}
	}
}

// owners has the packages that own each table. users and apps are not in it: the rows of all rules refer
// to theirs, and are joined with them.
var owners = map[string][]string{
	"app_connections":       {"internal/appconnections"},
	"app_figures":           {"internal/figures"},
	"audit_chains":          {"internal/audit"},
	"audit_entries":         {"internal/audit"},
	"ban_records":           {"internal/users"},
	"blocks":                {"internal/relations"},
	"connection_nodes":      {"internal/appconnections"},
	"deliveries":            {"internal/outbox", "internal/webhooks"},
	"event_users":           {"internal/outbox", "internal/webhooks"},
	"events":                {"internal/outbox", "internal/webhooks"},
	"friend_request_counts": {"internal/relations"},
	"friend_requests":       {"internal/relations"},
	"friendships":           {"internal/relations"},
	"jobs":                  {"internal/jobs"},
	"operator_session_ends": {"internal/operators"},
	"operator_sessions":     {"internal/operators"},
	"operators":             {"internal/operators"},
	"replica_heartbeats":    {"internal/database"},
	"sealed_values":         {"internal/sealed"},
	"sent_friend_requests":  {"internal/relations"},
	"service_nodes":         {"internal/vitals"},
	"status_subscriptions":  {"internal/subscriptions"},
	"token_keys":            {"internal/token"},
	"user_count_parts":      {"internal/headcount"},
	"user_notes":            {"internal/users"},
	"event_feeds":           {"internal/webhooks"},
	"webhook_hours":         {"internal/webhooks"},
	"webhook_endpoints":     {"internal/outbox", "internal/webhooks"},
	"whitelist_entries":     {"internal/relations"},

	"operator_invitations":    {"internal/operators"},
	"operator_challenges":     {"internal/operators"},
	"operator_keys":           {"internal/operators"},
	"operator_passkeys":       {"internal/operators"},
	"operator_pending_logins": {"internal/operators"},
	"operator_recovery_codes": {"internal/operators"},
	"operator_totps":          {"internal/operators"},
}

var (
	// afterKeyword finds the table after a keyword of SQL.
	afterKeyword = regexp.MustCompile(`(?i:\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+)([a-z_]+)\b`)
	// beforeColumn finds the table in front of a column.
	beforeColumn = regexp.MustCompile(`\b([a-z_]+)\.(?:[a-z_]+|\*)`)
)

// tablesOf returns the tables that the text of a statement names.
func tablesOf(text string) (tables []string) {
	for _, form := range []*regexp.Regexp{afterKeyword, beforeColumn} {
		for _, match := range form.FindAllStringSubmatch(text, -1) {
			tables = append(tables, match[1])
		}
	}
	return tables
}

// TestTables finds the tables in the SQL of each internal package and in its calls of the database
// library, and compares them with their owners. The other packages cannot import what sends SQL; see
// forbidden.
func TestTables(t *testing.T) {
	found, seen := map[arrow]string{}, map[string]bool{}
	for _, file := range goFiles(t, "internal") {
		pkg := path.Dir(file)
		if root(pkg, "internal/database", "internal/testenv") != "" {
			continue // connects, migrates and erases: the tables are data for it
		}
		for _, table := range tablesIn(t, file) {
			seen[table] = true
			if names := owners[table]; names != nil && root(pkg, names...) == "" {
				user := pkg
				if rule := root(pkg, rules...); rule != "" {
					user = rule
				}
				found[arrow{user, table}] = "the table belongs to " + strings.Join(names, ", ")
			}
		}
	}
	for table := range owners {
		if !seen[table] && !slices.Contains(owners[table], "internal/database") {
			t.Errorf("the test sees no use of the table %s", table)
		}
	}
	compare(t, "uses", found, knownTables)
}

// TestTables_NoneOutside finds the calls of the database library outside internal, where a statement
// could be made from what a rule has returned.
func TestTables_NoneOutside(t *testing.T) {
	for _, top := range []string{"graph", "console", "management", "cli", "node"} {
		for _, file := range goFiles(t, top) {
			if path.Dir(file) == testNode {
				continue
			}
			for _, table := range tablesCalled(t, file) {
				t.Errorf("%s uses the table %s", file, table)
			}
		}
	}
}

// isTable reports whether a name is that of a table.
func isTable(name string) bool { return name == "users" || name == "apps" || owners[name] != nil }

// createTable finds the tables that a migration creates.
var createTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// TestOwners checks that each table of the schema has an owner.
func TestOwners(t *testing.T) {
	files, err := filepath.Glob("migrations/sqlite/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range createTable.FindAllSubmatch(text, -1) {
			if table := string(match[1]); !isTable(table) {
				t.Errorf("%s: the table %s has no owner", file, table)
			}
		}
	}
}

// goFiles returns the Go files below a directory that are not tests.
func goFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// tablesIn returns the names of tables that a Go file uses.
func tablesIn(t *testing.T, file string) []string {
	t.Helper()
	tables := tablesCalled(t, file)
	inspect(t, file, func(n ast.Node) {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, tablesOf(text)...)
	})
	return tables
}

// tablesCalled returns the tables that a Go file names in calls of the database library.
func tablesCalled(t *testing.T, file string) (tables []string) {
	t.Helper()
	inspect(t, file, func(n ast.Node) {
		if call, ok := n.(*ast.CallExpr); ok {
			if table := tableOfCall(call); table != "" {
				tables = append(tables, table)
			}
		}
	})
	return tables
}

// inspect calls visit for each node of a Go file.
func inspect(t *testing.T, file string, visit func(ast.Node)) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		visit(n)
		return true
	})
}

// tableOfCall returns the table of Table("name"), Using("name", …), and Model(&models.Name{}) or
// another method of a statement with such a row; "" for other calls.
func tableOfCall(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	switch method.Sel.Name {
	case "Table", "Using":
		name, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			return ""
		}
		table, _, _ := strings.Cut(strings.Trim(name.Value, "\"`"), " ")
		return table
	case "Model", "Delete", "Create", "Find", "Take", "Where":
		pointer, ok := call.Args[0].(*ast.UnaryExpr)
		if !ok {
			return ""
		}
		row, ok := pointer.X.(*ast.CompositeLit)
		if !ok {
			return ""
		}
		name, ok := row.Type.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if pkg, ok := name.X.(*ast.Ident); !ok || pkg.Name != "models" {
			return ""
		}
		return schema.NamingStrategy{}.TableName(name.Sel.Name)
	}
	return ""
}
