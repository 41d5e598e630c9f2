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
	"rollcall/graph/secret"
	"rollcall/graph/selection"
)

// document is a document that has been parsed, measured and validated. It may be executed any
// number of times.
type document struct {
	text       string
	tree       *ast.QueryDocument
	operations map[*ast.OperationDefinition]*operation
	// memory is approximately how many bytes the document takes, including its text.
	memory int
	// secret reports whether the text contains a secret, so that it must not be cached.
	secret bool
}

// operation is what is stored about one operation of a document.
type operation struct {
	extent extent
	plan   selection.Plan
	// schemaOnly reports whether the operation requests nothing but the schema, so that its result
	// is the same for every caller. result is that result, once it exists.
	schemaOnly bool
	result     atomic.Pointer[json.RawMessage]
}

// parse parses, measures and validates text. Its errors are those for the caller.
func (d *documents) parse(text string) (*document, gqlerror.List) {
	text = strings.Clone(text) // so that the names in the tree do not keep the rest of a URL in memory
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
		memory: len(text) + measured.memory, secret: secret.InText(tree),
	}
	for op, extent := range measured.operations {
		doc.operations[op] = &operation{extent: extent, schemaOnly: asksOnlySchema(op)}
	}
	return doc, nil
}

// schemaOnly reports whether the document has a single operation and it requests nothing but the
// schema.
func (d *document) schemaOnly() bool {
	return len(d.operations) == 1 && d.operations[d.tree.Operations[0]].schemaOnly
}

// documents parses documents and caches those that are sent repeatedly. It is safe for concurrent
// use.
//
// Documents of guests are not cached, except for those that request nothing but the schema: these
// are few, the same from all callers, and have a cache of their own. Documents that contain a
// secret are not cached either.
type documents struct {
	schema *ast.Schema
	// suggest reports whether errors may suggest names of the schema.
	suggest bool

	ofCallers cache
	ofSchema  cache
}

const (
	// maxDocumentMemory limits what the cached documents take, in bytes.
	maxDocumentMemory = 16 << 20
	// maxSchemaMemory limits those that request the schema, including their results.
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
	case errs != nil || doc.secret:
	case doc.schemaOnly():
		doc.memory += maxPrepared
		d.ofSchema.add(doc)
	case auth.From(ctx).Kind != auth.Guest:
		d.ofCallers.add(doc)
	}
	return doc, errs
}

// cache stores documents by their text. Its size in bytes is limited. It stores a document the
// second time it is sent. A document that is sent a third time can no longer be evicted by
// documents that are sent only twice; those only evict each other.
type cache struct {
	mu sync.Mutex
	// max limits the memory of recent and hot together. recent has the documents that were sent
	// twice, and hot those that were sent more often.
	max         int
	recent, hot segment
	// sighted are the documents that were sent once; sightedBefore are those that were sent once
	// before sighted was last emptied.
	sighted, sightedBefore map[uint64]struct{}
	seed                   maphash.Seed
}

const (
	// maxSighted limits cache.sighted.
	maxSighted = 4096
	// hotShare is the percentage of a cache that hot may occupy.
	hotShare = 80
	// largestPart limits one document to this fraction of a cache: a sixteenth.
	largestPart = 16
)

func newCache(max int) cache {
	return cache{max: max, recent: newSegment(), hot: newSegment(), seed: maphash.MakeSeed()}
}

// get returns the document of text, or nil if it is not stored.
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

// add stores a document, if it was sent before and is not too large.
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

// seen reports whether text was sent before, and records that it was sent.
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

// maxEntries limits a segment's documents; its memory limit is reached long before.
const maxEntries = 1 << 20

func newSegment() segment {
	entries, err := simplelru.NewLRU[string, *document](maxEntries, nil)
	if err != nil {
		panic(err) // only for a size below 1
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

// loaded passes the document in the context to gqlgen; it neither parses nor validates.
type loaded struct{}

func (loaded) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	return ctx.Value(documentKey{}).(*document).tree, true
}

func (loaded) Add(context.Context, string, *ast.QueryDocument) {}

var _ graphql.Cache[*ast.QueryDocument] = loaded{}

// operationExtension is the name of the extension that stores the *operation in an operation's
// context.
const operationExtension = "RollcallOperation"

// operationOf returns what is stored about op's operation.
func operationOf(op *graphql.OperationContext) *operation {
	return op.Stats.GetExtension(operationExtension).(*operation)
}
