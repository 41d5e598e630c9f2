package graph

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"rollcall/graph/auth"
	"rollcall/graph/selection"
)

// document is a document that has been parsed, measured and validated. It may be
// executed any number of times.
type document struct {
	text       string
	tree       *ast.QueryDocument
	operations map[*ast.OperationDefinition]*operation
	// memory is about how many bytes the document takes, its text included.
	memory int
}

// operation is what is kept of one operation of a document.
type operation struct {
	extent extent
	plan   selection.Plan
	// schemaOnly reports whether the operation asks for nothing but the schema, so that
	// its result is the same for every caller. result is that, once there is one.
	schemaOnly bool
	result     atomic.Pointer[json.RawMessage]
}

// parse makes a document of text. It fails with the errors for the caller.
func (d *documents) parse(text string) (*document, gqlerror.List) {
	text = strings.Clone(text) // the names in the tree do not keep the rest of a URL in memory
	tree, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, MaxTokens)
	if err != nil {
		parseErr := gqlerror.WrapIfUnwrapped(err)
		errcode.Set(parseErr, errcode.ParseFailed)
		return nil, gqlerror.List{parseErr}
	}
	if len(tree.Operations) == 0 {
		err := gqlerror.Errorf("no operation provided")
		errcode.Set(err, errcode.ValidationFailed)
		return nil, gqlerror.List{err}
	}
	measured, tooLarge := measure(tree)
	if tooLarge != nil {
		return nil, gqlerror.List{tooLarge}
	}
	suggest := d.suggest && len(text) <= maxSuggesting
	if errs := validateDocument(d.schema, tree, suggest); len(errs) > 0 {
		return nil, errs
	}
	doc := &document{
		text: text, tree: tree, operations: make(map[*ast.OperationDefinition]*operation, len(tree.Operations)),
		memory: len(text) + measured.memory,
	}
	for op, extent := range measured.operations {
		doc.operations[op] = &operation{extent: extent, schemaOnly: asksOnlySchema(op)}
	}
	return doc, nil
}

// schemaOnly reports whether the document has one operation, which asks for nothing but
// the schema.
func (d *document) schemaOnly() bool {
	return len(d.operations) == 1 && d.operations[d.tree.Operations[0]].schemaOnly
}

// documents parses documents, and keeps those that come again. It is safe for
// concurrent use.
//
// What guests send is not kept, except for documents that ask for nothing but the
// schema: those are few, the same from everywhere, and have a cache of their own.
type documents struct {
	schema *ast.Schema
	// suggest reports whether errors may suggest names of the schema.
	suggest bool

	ofCallers cache
	ofSchema  cache
}

const (
	// maxDocumentMemory bounds what the parsed documents take, in bytes.
	maxDocumentMemory = 16 << 20
	// maxSchemaMemory bounds those that ask for the schema, with their results.
	maxSchemaMemory = 8 << 20
)

func newDocuments(schema *ast.Schema, suggest bool) *documents {
	return &documents{
		schema: schema, suggest: suggest,
		ofCallers: newCache(maxDocumentMemory), ofSchema: newCache(maxSchemaMemory),
	}
}

// load returns the document of text, for ctx's caller.
func (d *documents) load(ctx context.Context, text string) (*document, gqlerror.List) {
	if doc := d.ofCallers.get(text); doc != nil {
		return doc, nil
	}
	if doc := d.ofSchema.get(text); doc != nil {
		return doc, nil
	}
	doc, errs := d.parse(text)
	switch {
	case errs != nil:
	case doc.schemaOnly():
		doc.memory += maxPrepared
		d.ofSchema.add(doc)
	case auth.From(ctx).Kind != auth.Guest:
		d.ofCallers.add(doc)
	}
	return doc, errs
}

// cache holds documents by their text. It is bounded in bytes, and takes a document
// when it comes for the second time. A document that comes once more is then safe from
// all that come only twice: those only replace each other.
type cache struct {
	mu sync.Mutex
	// max bounds the memory of recent and hot together. recent holds what came twice,
	// and hot what came more often.
	max         int
	recent, hot segment
	// sighted are the documents that came once; sightedBefore are those that came once
	// before sighted was begun.
	sighted, sightedBefore map[uint64]struct{}
	seed                   maphash.Seed
}

const (
	// maxSighted bounds cache.sighted.
	maxSighted = 4096
	// hotShare is the part of a cache, in percent, that hot may take.
	hotShare = 80
	// largestPart is the part of a cache that one document may take: the sixteenth.
	largestPart = 16
)

func newCache(max int) cache {
	return cache{max: max, recent: newSegment(), hot: newSegment(), seed: maphash.MakeSeed()}
}

// get returns the document of text, or nil if there is none.
func (c *cache) get(text string) *document {
	c.mu.Lock()
	defer c.mu.Unlock()
	if doc, ok := c.hot.entries.Get(text); ok {
		return doc
	}
	doc, ok := c.recent.entries.Get(text)
	if !ok {
		return nil
	}
	c.recent.remove(text)
	c.hot.add(doc)
	for c.hot.memory > c.max*hotShare/100 {
		c.recent.add(c.hot.removeOldest())
	}
	return doc
}

// add takes a document, if it came before and is not too large.
func (c *cache) add(doc *document) {
	if doc.memory > c.max/largestPart {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.seen(doc.text) || c.hot.entries.Contains(doc.text) {
		return
	}
	c.recent.remove(doc.text) // it may have been added concurrently
	c.recent.add(doc)
	for c.recent.memory+c.hot.memory > c.max {
		c.recent.removeOldest()
	}
}

// seen reports whether text came before, and remembers that it came.
func (c *cache) seen(text string) bool {
	hash := maphash.String(c.seed, text)
	_, now := c.sighted[hash]
	_, before := c.sightedBefore[hash]
	if c.sighted == nil || len(c.sighted) == maxSighted {
		c.sighted, c.sightedBefore = make(map[uint64]struct{}), c.sighted
	}
	c.sighted[hash] = struct{}{}
	return now || before
}

// segment is a part of a cache, with the memory that it takes.
type segment struct {
	entries *simplelru.LRU[string, *document]
	memory  int
}

// maxEntries bounds a segment's documents; its memory does so long before.
const maxEntries = 1 << 20

func newSegment() segment {
	entries, err := simplelru.NewLRU[string, *document](maxEntries, nil)
	if err != nil {
		panic(err) // a size below 1
	}
	return segment{entries: entries}
}

func (s *segment) add(doc *document) {
	s.entries.Add(doc.text, doc)
	s.memory += doc.memory
}

func (s *segment) remove(text string) {
	if doc, ok := s.entries.Peek(text); ok {
		s.entries.Remove(text)
		s.memory -= doc.memory
	}
}

func (s *segment) removeOldest() *document {
	_, doc, _ := s.entries.RemoveOldest()
	s.memory -= doc.memory
	return doc
}

// documentKey is the key of the *document in the context of CreateOperationContext.
type documentKey struct{}

// loaded hands gqlgen the document that is in the context: it neither parses nor
// validates.
type loaded struct{}

func (loaded) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	return ctx.Value(documentKey{}).(*document).tree, true
}

func (loaded) Add(context.Context, string, *ast.QueryDocument) {}

var _ graphql.Cache[*ast.QueryDocument] = loaded{}

// operationExtension is the name under which an operation's context has the
// *operation.
const operationExtension = "RollcallOperation"

// operationOf returns what is kept of op's operation.
func operationOf(op *graphql.OperationContext) *operation {
	return op.Stats.GetExtension(operationExtension).(*operation)
}
