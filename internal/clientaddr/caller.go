package clientaddr

import "context"

// Caller is a request, or a connection, that knows its client's address.
type Caller interface{ ClientAddress() string }

type callerKey struct{}

// With returns a context that carries the caller of an operation. The address is resolved only if
// it is needed.
func With(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// From returns the client's address, or "" if ctx carries no caller.
func From(ctx context.Context) string {
	if caller, ok := ctx.Value(callerKey{}).(Caller); ok {
		return caller.ClientAddress()
	}
	return ""
}
