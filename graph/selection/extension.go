package selection

import (
	"context"
	"errors"
	"io"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Extension makes an executor encode values directly where possible. It must be the last extension
// of the executor, and so the innermost: @goInline resolvers get the context that the Extension
// gets.
type Extension struct {
	types Types
	opts  Options
}

// Options configure an Extension. The zero value plans each execution separately and sets no limit.
type Options struct {
	// PlanOf returns the Plan of the operation, which the executor stores for as long as it stores
	// the parsed document. If it returns nil, the plan serves one execution.
	PlanOf func(op *graphql.OperationContext) *Plan
	// MaxBytes limits the encoded value of one field. A longer value is ErrTooLarge.
	MaxBytes int
}

// ErrTooLarge is the error of a field whose encoded value is longer than
// Options.MaxBytes.
var ErrTooLarge = errors.New("the encoded value is too large")

// New returns an Extension for a schema with these types.
func New(types Types, opts Options) *Extension {
	return &Extension{types: types, opts: opts}
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

// MutateOperationContext assigns the operation its plan.
func (x *Extension) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	var p *Plan
	if x.opts.PlanOf != nil {
		p = x.opts.PlanOf(op)
	}
	if p == nil {
		p = new(Plan)
	}
	op.Stats.SetExtension(extensionName, p)
	return nil
}

// InterceptField resolves the field, and returns the encoded value in place of
// objects if that is possible. It returns ErrTooLarge if the value is too long.
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
	p, ok := op.Stats.GetExtension(extensionName).(*Plan)
	if !ok {
		return res, nil
	}
	v := p.value(x.types, op, fc.Field)
	if v == nil {
		return res, nil
	}
	out, err := x.encode(ctx, v, res)
	if out == nil && err == nil {
		return res, nil
	}
	return out, err
}

// encoded is a value that is ready to be sent.
type encoded []byte

// MarshalGQL writes the value.
func (b encoded) MarshalGQL(w io.Writer) { _, _ = w.Write(b) } // the buffer of the response

// Len returns the length of the encoded value, in bytes.
func (b encoded) Len() int { return len(b) }

// encode returns nil if the value cannot be written directly. If a resolver panics here, it panics
// again in gqlgen's code, which reports the panic at its path.
func (x *Extension) encode(ctx context.Context, v *value, res any) (out graphql.Marshaler, err error) {
	defer func() {
		if recover() != nil {
			out, err = nil, nil
		}
	}()
	last := v.size.Load()
	e := Encoder{ctx: memo{Context: ctx}, out: make([]byte, 0, last+last/16), max: x.opts.MaxBytes} // lengths vary a little
	switch written := v.write(&e, res); {
	case e.full():
		return nil, ErrTooLarge
	case !written:
		return nil, nil
	}
	v.size.Store(int64(len(e.out)))
	return encoded(e.out), nil
}
