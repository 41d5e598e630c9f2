package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	querypb "vitess.io/vitess/go/vt/proto/query"
	"vitess.io/vitess/go/vt/sqlparser"
	"vitess.io/vitess/go/vt/vtenv"
)

// report collects statements and what Vitess makes of them.
type report struct {
	env *vtenv.Environment
	// shapes has each statement once, whatever its values are, by its text without them.
	shapes map[string]sqlparser.Statement
	// refused has the errors for statements that Vitess does not parse, by their text without values.
	refused map[string]error
	// tables has the columns of each table that a migrated database has.
	tables map[string]*sqlparser.CreateTable
}

func newReport() (*report, error) {
	env, err := vtenv.New(vtenv.Options{MySQLServerVersion: "8.4.0"})
	if err != nil {
		return nil, err
	}
	return &report{
		env: env, shapes: make(map[string]sqlparser.Statement), refused: make(map[string]error),
		tables: make(map[string]*sqlparser.CreateTable),
	}, nil
}

func (r *report) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	seen := make(map[string]bool)
	err = readLog(file, func(text string) {
		if key := withoutValues(text); !seen[key] {
			seen[key] = true
			r.add(key, text)
		}
	})
	if err == nil && len(r.shapes) == 0 {
		err = errors.New(path + " has no statements")
	}
	return err
}

// These match what differs between statements of the same shape: texts and numbers, lists of them, and
// how many lists there are if there is more than one, such as the rows of an INSERT.
var (
	value = regexp.MustCompile(`(?:_binary\s*)?'(?:[^'\\]|\\.|'')*'|\b\d+(?:\.\d+)?\b`)
	list  = regexp.MustCompile(`\((?:\?|NULL)(?:, ?(?:\?|NULL))*\)`)
	lists = regexp.MustCompile(`\(\?\)(?:, ?\(\?\))+`)
)

func withoutValues(text string) string {
	text = list.ReplaceAllString(value.ReplaceAllString(text, "?"), "(?)")
	return lists.ReplaceAllString(text, "(?), (?)")
}

// limit matches the hint that limits the time of a statement, which differs each time.
var limit = regexp.MustCompile(`/\*\+ MAX_EXECUTION_TIME\(\d+\) \*/ `)

// fault matches the triggers by which tests make statements fail, and what these run. Rollcall has none.
var fault = regexp.MustCompile(`(?i)^(?:CREATE TRIGGER|DROP TRIGGER|SIGNAL) `)

func (r *report) add(key, text string) {
	if fault.MatchString(text) {
		return
	}
	text = limit.ReplaceAllString(text, "")
	statement, known, err := r.env.Parser().Parse2(text)
	if err != nil {
		r.refused[key] = err
		return
	}
	if create, ok := statement.(*sqlparser.CreateTable); ok {
		r.addTable(create)
	}
	rewritten, err := sqlparser.Normalize(sqlparser.Clone(statement), sqlparser.NewReservedVars("v", known),
		make(map[string]*querypb.BindVariable), true, "", sqlparser.SQLSelectLimitUnset, "", nil, nil, nil)
	if err != nil {
		r.refused[key] = err
		return
	}
	r.shapes[sqlparser.String(rewritten.AST)] = statement
}

// addTable stores the columns of a table. Some migrations create it with fewer columns than it has in
// the end, as the copies of a migrated database have it.
func (r *report) addTable(create *sqlparser.CreateTable) {
	name := create.Table.Name.String()
	if former := r.tables[name]; create.TableSpec != nil && (former == nil || len(former.TableSpec.Columns) < len(create.TableSpec.Columns)) {
		r.tables[name] = create
	}
}

// write writes the report. It returns an error if Vitess does not parse a statement.
func (r *report) write(w io.Writer) error {
	planned, err := r.plan()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d different statements are parsed; %d are on Rollcall's tables:\n", len(r.shapes), len(planned.all()))
	for _, kind := range kinds {
		fmt.Fprintf(w, "%5d %s\n", len(planned[kind]), kind)
	}
	for _, kind := range listed {
		if len(planned[kind]) > 0 {
			fmt.Fprintf(w, "\n%s:\n", kind)
		}
		for _, text := range slices.Sorted(maps.Keys(planned[kind])) {
			fmt.Fprintf(w, "- %s%s\n", text, planned[kind][text])
		}
	}
	if len(r.refused) == 0 {
		return nil
	}
	var lines []string
	for _, text := range slices.Sorted(maps.Keys(r.refused)) {
		lines = append(lines, fmt.Sprintf("%s\n\t%v", text, r.refused[text]))
	}
	return fmt.Errorf("%d statements are not parsed:\n%s", len(lines), strings.Join(lines, "\n"))
}
