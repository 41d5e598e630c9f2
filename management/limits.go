package management

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/management/generated"
)

// The limits of a document. Those of the parsed document hold before it is validated, because
// validation follows fragments wherever they are spread.
const (
	maxTokens = 2000
	// maxDepth has room for the introspection of common tools.
	maxDepth = 20
	// maxFields is the number of fields with the fragments in their places.
	maxFields = 1000
	// maxComplexity limits the work: one for a field, times the size of the list that it is in.
	maxComplexity = 5000
)

const (
	// maxPage is the largest page.
	maxPage = 100
	// listSize is what a list without pages counts as.
	listSize = 50
	// queryCost is what a field counts as that runs a query of its own for each object.
	queryCost = 10
	// searchCost is what a search in the audit counts as, which reads up to audit.SearchNewest entries.
	searchCost = 2000
)

// pageRequest returns the page that a list's arguments request.
func pageRequest(first int, after *string) (page.Request, error) {
	switch {
	case first < 1:
		return page.Request{}, fault.Invalid("first", "min", "first must be 1 to %d", maxPage)
	case first > maxPage:
		return page.Request{}, fault.Invalid("first", "max", "first must be 1 to %d", maxPage)
	}
	return page.Request{First: first, After: after}, nil
}

// weigh sets how much lists and queries count.
func weigh(c *generated.ComplexityRoot) {
	list := func(child int) int { return 1 + listSize*child }
	paged := func(child, first int) int { return 1 + max(1, min(first, maxPage))*child }
	c.Query.Operators, c.Query.Invitations, c.Query.APIKeys = list, list, list
	c.Viewer.Apps, c.Operator.Apps, c.ApiKey.Apps, c.Invitation.Apps = list, list, list, list
	c.Query.Apps = func(child, first int, _ *string) int { return paged(child, first) }
	c.Query.Audit = func(child, first int, _ *string, filter *generated.AuditFilter) int {
		if filter != nil && filter.Text != nil {
			return searchCost + paged(child, first)
		}
		return paged(child, first)
	}
	c.App.RegisteredUserCount = func(int) int { return queryCost }
	c.App.WebhookEndpoints = func(child int) int { return queryCost + child }
}

// measure refuses documents that are too deep or too large before they are validated.
type measure struct{}

// ExtensionName implements graphql.HandlerExtension.
func (measure) ExtensionName() string { return "Measure" }

// Validate implements graphql.HandlerExtension.
func (measure) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters implements graphql.OperationParameterMutator.
func (measure) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: params.Query}, maxTokens)
	if err != nil {
		return nil // gqlgen reports it
	}
	m := measured{fragments: map[string]size{}, doc: doc}
	for _, op := range doc.Operations {
		of := m.of(op.SelectionSet)
		var refusal *gqlerror.Error
		switch {
		case of.depth > maxDepth:
			refusal = gqlerror.Errorf("the document is deeper than %d", maxDepth)
		case of.fields > maxFields:
			refusal = gqlerror.Errorf("the document has more than %d fields with the fragments in their places", maxFields)
		default:
			continue
		}
		errcode.Set(refusal, string(fault.QueryTooComplex))
		return refusal
	}
	return nil
}

// size is that of a selection with the fragments in their places.
type size struct{ depth, fields int }

// measured visits each fragment of a document once.
type measured struct {
	doc *ast.QueryDocument
	// fragments are the sizes that are known. Those that are being measured have none, so a fragment in
	// itself counts nothing; validation refuses it.
	fragments map[string]size
}

func (m *measured) of(set ast.SelectionSet) (total size) {
	for _, selection := range set {
		var part size
		switch s := selection.(type) {
		case *ast.Field:
			part = m.of(s.SelectionSet)
			part.depth++
			part.fields++
		case *ast.InlineFragment:
			part = m.of(s.SelectionSet)
		case *ast.FragmentSpread:
			part = m.fragment(s.Name)
		}
		total.depth = max(total.depth, part.depth)
		total.fields = min(total.fields+part.fields, 2*maxFields)
	}
	return total
}

func (m *measured) fragment(name string) size {
	if known, ok := m.fragments[name]; ok {
		return known
	}
	m.fragments[name] = size{}
	if def := m.doc.Fragments.ForName(name); def != nil {
		m.fragments[name] = m.of(def.SelectionSet)
	}
	return m.fragments[name]
}
