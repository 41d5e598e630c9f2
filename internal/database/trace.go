package database

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/tracing"
)

// firstTable matches the first table of a statement.
var firstTable = regexp.MustCompile("(?i)\\b(?:FROM|INTO|UPDATE)\\s+[`\"]?(\\w+)")

// beginSpan begins the span of a statement below that of ctx. The text must have a question mark in
// place of each value.
func (db *DB) beginSpan(ctx context.Context, text string) *tracing.Span {
	if !tracing.On(ctx) {
		return nil
	}
	_, span := tracing.BeginCall(ctx, "statement")
	db.describe(span, text)
	return span
}

// describe names the span of a statement by what the statement does with which table.
func (db *DB) describe(span *tracing.Span, text string) {
	verb, _, _ := strings.Cut(strings.TrimLeft(text, "( \t\n"), " ")
	name := strings.ToUpper(verb)
	if match := firstTable.FindStringSubmatch(text); match != nil {
		name += " " + match[1]
	}
	span.Name(name)
	span.Text("db.system.name", string(db.dialect))
	span.Text("db.query.text", text)
}

// endSpan ends the span of a statement or a transaction. A transaction's own refusals are no failures.
func endSpan(span *tracing.Span, err error) {
	if span == nil {
		return
	}
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		span.Refused(string(refusal.Code))
		err = nil
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		span.Text("db.response.status_code", strconv.Itoa(int(my.Number)))
	} else if lite, ok := errors.AsType[*sqlite3.Error](err); ok {
		span.Text("db.response.status_code", strconv.Itoa(int(lite.ExtendedCode())))
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = nil
	}
	span.End(err)
}

// spanKey is the setting of a GORM statement that has its span.
const spanKey = "rollcall:span"

// Trace makes GORM's statements have spans. It must not be called while statements run.
// GORM knows the text of a statement only once it has built it, so the span gets it at its end.
func (db *DB) Trace() error {
	begin := func(tx *gorm.DB) {
		if _, span := tracing.BeginCall(tx.Statement.Context, "statement"); span != nil {
			tx.InstanceSet(spanKey, span)
		}
	}
	end := func(tx *gorm.DB) {
		if value, ok := tx.InstanceGet(spanKey); ok {
			span := value.(*tracing.Span)
			db.describe(span, tx.Statement.SQL.String())
			endSpan(span, tx.Error)
		}
	}
	if db.traced {
		return nil
	}
	db.traced = true
	handles := []*gorm.DB{db.read}
	if db.write != db.read {
		handles = append(handles, db.write)
	}
	for _, handle := range handles {
		c := handle.Callback()
		for _, err := range []error{
			c.Create().Before("*").Register("rollcall:begin_span", begin), c.Create().After("*").Register("rollcall:end_span", end),
			c.Query().Before("*").Register("rollcall:begin_span", begin), c.Query().After("*").Register("rollcall:end_span", end),
			c.Update().Before("*").Register("rollcall:begin_span", begin), c.Update().After("*").Register("rollcall:end_span", end),
			c.Delete().Before("*").Register("rollcall:begin_span", begin), c.Delete().After("*").Register("rollcall:end_span", end),
			c.Row().Before("*").Register("rollcall:begin_span", begin), c.Row().After("*").Register("rollcall:end_span", end),
			c.Raw().Before("*").Register("rollcall:begin_span", begin), c.Raw().After("*").Register("rollcall:end_span", end),
		} {
			if err != nil {
				return fmt.Errorf("preparing spans of statements: %w", err)
			}
		}
	}
	return nil
}
