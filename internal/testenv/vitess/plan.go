package main

import (
	_ "embed"
	"maps"
	"strings"

	"vitess.io/vitess/go/json2"
	"vitess.io/vitess/go/test/vschemawrapper"
	vschemapb "vitess.io/vitess/go/vt/proto/vschema"
	"vitess.io/vitess/go/vt/sqlparser"
	"vitess.io/vitess/go/vt/vtgate/engine"
	"vitess.io/vitess/go/vt/vtgate/planbuilder"
	"vitess.io/vitess/go/vt/vtgate/vindexes"
)

// kind is what vtgate does with a statement.
type kind string

const (
	unsharded   kind = "go to the keyspace that is not sharded"
	oneShard    kind = "go to the shard of one user"
	someShards  kind = "are split by users, or go to few shards by an index of IDs"
	joined      kind = "are joined by vtgate: a statement for each row of another"
	allShards   kind = "go to all shards"
	wholeTables kind = "read or delete a whole table, most of them in tests"
	elsewhere   kind = "are done by vtgate, or have no table"
	unsupported kind = "cannot be planned"
)

var (
	kinds = []kind{unsharded, oneShard, someShards, joined, allShards, wholeTables, elsewhere, unsupported}
	// listed are the kinds whose statements the report lists.
	listed = []kind{joined, allShards, unsupported}
)

// plans has the statements of each kind, with the reason for each that cannot be planned.
type plans map[kind]map[string]string

func (p plans) all() map[string]string {
	all := make(map[string]string)
	for _, list := range p {
		maps.Copy(all, list)
	}
	return all
}

func (p plans) add(kind kind, text, detail string) {
	if p[kind] == nil {
		p[kind] = make(map[string]string)
	}
	p[kind][text] = detail
}

// The names of the keyspaces. vschemawrapper requires the first.
const (
	mainKeyspace  = "main"
	usersKeyspace = "users"
)

//go:embed vschema.json
var sharded []byte

// plan plans the statements on Rollcall's tables.
func (r *report) plan() (plans, error) {
	users := new(vschemapb.Keyspace)
	if err := json2.UnmarshalPB(sharded, users); err != nil {
		return nil, err
	}
	rest := &vschemapb.Keyspace{Tables: map[string]*vschemapb.Table{"friend_requests_by_id": {}}}
	for name, create := range r.tables {
		table := users.Tables[name]
		if table == nil {
			table = new(vschemapb.Table)
			rest.Tables[name] = table
		}
		table.ColumnListAuthoritative = true
		for _, column := range create.TableSpec.Columns {
			table.Columns = append(table.Columns, &vschemapb.Column{Name: column.Name.String(), Type: column.Type.SQLType()})
		}
	}
	for _, table := range users.Tables {
		if table.AutoIncrement != nil {
			_, sequence, _ := strings.Cut(table.AutoIncrement.Sequence, ".")
			rest.Tables[sequence] = &vschemapb.Table{Type: vindexes.TypeSequence}
		}
	}
	schema := vindexes.BuildVSchema(&vschemapb.SrvVSchema{
		Keyspaces: map[string]*vschemapb.Keyspace{mainKeyspace: rest, usersKeyspace: users},
	}, r.env.Parser())
	for _, keyspace := range schema.Keyspaces {
		if keyspace.Error != nil {
			return nil, keyspace.Error
		}
	}
	planner, err := vschemawrapper.NewVschemaWrapper(r.env, schema, planbuilder.TestBuilder)
	if err != nil {
		return nil, err
	}
	found := make(plans)
	for text, statement := range r.shapes {
		if !r.isOurs(statement) {
			continue
		}
		kind, detail := unsupported, ""
		if isWholeTable(statement) {
			found.add(wholeTables, text, "")
			continue
		}
		plan, err := planbuilder.TestBuilder(sqlparser.String(statement), planner, "")
		if err != nil {
			detail = "\n\t" + err.Error()
		} else {
			kind = kindOf(statement, plan)
		}
		found.add(kind, text, detail)
	}
	return found, nil
}

// isOurs reports whether a statement reads or changes rows of a table, and all its tables are those of
// migrated databases.
func (r *report) isOurs(statement sqlparser.Statement) bool {
	switch statement.(type) {
	case *sqlparser.Select, *sqlparser.Union, *sqlparser.Insert, *sqlparser.Update, *sqlparser.Delete:
	default:
		return false
	}
	ours, any := true, false
	err := sqlparser.Walk(func(node sqlparser.SQLNode) (bool, error) {
		if table, ok := node.(*sqlparser.AliasedTableExpr); ok {
			if name, ok := table.Expr.(sqlparser.TableName); ok && name.Name.String() != "dual" { // a SELECT of values
				any = true
				ours = ours && r.tables[name.Name.String()] != nil && name.Qualifier.IsEmpty()
			}
		}
		return true, nil
	}, statement)
	return err == nil && ours && any
}

// isWholeTable reports whether a statement reads all rows of one table, or deletes them.
func isWholeTable(statement sqlparser.Statement) bool {
	switch s := statement.(type) {
	case *sqlparser.Select:
		if len(s.From) != 1 {
			return false
		}
		_, table := s.From[0].(*sqlparser.AliasedTableExpr)
		return table && s.Where == nil && s.Limit == nil
	case *sqlparser.Delete:
		return s.Where == nil
	}
	return false
}

// kindOf returns the most expensive kind of a plan's parts. Several parts that go to one shard each, and
// several rows, may be of different users.
func kindOf(statement sqlparser.Statement, plan *engine.Plan) kind {
	cost := map[kind]int{elsewhere: 0, unsharded: 1, oneShard: 2, someShards: 3, joined: 4, allShards: 5}
	most, parts := elsewhere, 0
	engine.WalkPrimitiveDescription(engine.PrimitiveToPlanDescription(plan.Instructions, nil), func(part engine.PrimitiveDescription) {
		found := kindOfPart(part)
		if found == oneShard {
			parts++
		}
		if cost[found] > cost[most] {
			most = found
		}
	})
	if most == oneShard && (parts > 1 || insertsRows(statement)) {
		return someShards
	}
	return most
}

// insertsRows reports whether a statement may insert more than one row.
func insertsRows(statement sqlparser.Statement) bool {
	insert, ok := statement.(*sqlparser.Insert)
	if !ok {
		return false
	}
	rows, ok := insert.Rows.(sqlparser.Values)
	return !ok || len(rows) > 1
}

func kindOfPart(part engine.PrimitiveDescription) kind {
	switch part.OperatorType {
	case "Join", "SemiJoin", "DMLWithInput":
		return joined
	case "VindexLookup":
		return someShards
	}
	switch part.Variant {
	case engine.Unsharded.String(), engine.Reference.String(), engine.Next.String():
		return unsharded
	case engine.EqualUnique.String(), "Sharded", "ShardedAutocommit":
		return oneShard
	case engine.Equal.String(), engine.IN.String(), engine.MultiEqual.String():
		return someShards
	case engine.Scatter.String():
		return allShards
	}
	return elsewhere
}
