package selection

import (
	"context"
	"io"

	"github.com/99designs/gqlgen/graphql"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Extension has an executor encode directly what can be. It must be the last one
// that the executor uses, and so the innermost: the context that it gets is the
// one that @goInline resolvers get.
type Extension struct {
	types       Types
	plans       *lru.Cache[*ast.OperationDefinition, *plan]
	maxDocument int
}

// Options bound what an Extension keeps. They should be those of the executor's
// query cache: a plan belongs to a parsed document, and is of no use when that
// has to be parsed again.
type Options struct {
	// Operations is how many operations have their plans kept.
	Operations int
	// DocumentBytes is the length of the longest document that is planned.
	DocumentBytes int
}

// New answers an Extension for a schema with these types.
func New(types Types, opts Options) *Extension {
	plans, err := lru.New[*ast.OperationDefinition, *plan](opts.Operations)
	if err != nil {
		panic(err) // a size below 1
	}
	return &Extension{types: types, plans: plans, maxDocument: opts.DocumentBytes}
}

var (
	_ graphql.OperationContextMutator = (*Extension)(nil)
	_ graphql.FieldInterceptor        = (*Extension)(nil)
)

const extensionName = "RollcallSelection"

// ExtensionName names the extension to gqlgen.
func (*Extension) ExtensionName() string { return extensionName }

// Validate accepts every schema.
func (*Extension) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext gives the operation its plan.
func (x *Extension) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if len(op.RawQuery) > x.maxDocument {
		return nil
	}
	p, ok := x.plans.Get(op.Operation)
	if !ok {
		p = &plan{budget: maxFields}
		if known, ok, _ := x.plans.PeekOrAdd(op.Operation, p); ok {
			p = known
		}
	}
	op.Stats.SetExtension(extensionName, p)
	return nil
}

// InterceptField resolves the field, and answers the encoded value in place of
// objects where that is possible.
func (x *Extension) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	res, err := next(ctx)
	if err != nil || res == nil {
		return res, err
	}
	fc := graphql.GetFieldContext(ctx)
	if len(fc.Field.Selections) == 0 {
		return res, nil
	}
	op := graphql.GetOperationContext(ctx)
	p, ok := op.Stats.GetExtension(extensionName).(*plan)
	if !ok {
		return res, nil
	}
	v := p.value(x.types, op, fc.Field)
	if v == nil {
		return res, nil
	}
	if out, ok := encode(ctx, v, res); ok {
		return out, nil
	}
	return res, nil
}

// encoded is a value that is ready to be sent.
type encoded []byte

// MarshalGQL writes it.
func (b encoded) MarshalGQL(w io.Writer) { _, _ = w.Write(b) } // the buffer of the response

// encode answers false for what is not written directly. What panics there
// panics once more in gqlgen's hands, which report it in its place.
func encode(ctx context.Context, v *value, x any) (out graphql.Marshaler, ok bool) {
	defer func() {
		if recover() != nil {
			out, ok = nil, false
		}
	}()
	last := v.size.Load()
	e := Encoder{ctx: ctx, out: make([]byte, 0, last+last/16)} // lengths vary a little
	if !v.write(&e, x) {
		return nil, false
	}
	v.size.Store(int64(len(e.out)))
	return encoded(e.out), true
}
