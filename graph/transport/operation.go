package transport

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
)

// operation is one operation on a WebSocket, from subscribe to complete.
type operation struct {
	conn *conn
	id   []byte // as JSON

	// The following fields are guarded by conn.mu.
	cancel context.CancelFunc // nil if there is nothing to cancel
	sub    *subscription      // nil unless it is a running subscription
}

var _ outlet = (*operation)(nil)

// subscribe begins an operation. It returns when the response has been sent, or while a
// subscription runs. It calls release when the next message may be read: for a subscription, after
// its start, so that a client that subscribes and then queries misses nothing.
func (c *conn) subscribe(req request, release func()) error {
	if c.principal == nil {
		return closeNotReady
	}
	if !isObject(req.payload) {
		return closeBadPayload
	}
	params, refused := jsonParams(req.payload)
	ctx, cancel := context.WithCancel(requestid.With(context.Background(), requestid.New()))
	defer cancel()
	ctx = clientaddr.With(auth.With(ctx, c.principal), c)
	if refused == nil {
		refused = c.server.complete(ctx, params)
	}
	op, err := c.open(req.id, cancel)
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		c.send(errorMessage(req.id, encodeJSON(gqlerror.List{c.server.cfg.Present(ctx, refusal)})))
		return nil
	}
	if op == nil {
		return err
	}
	defer c.settle()
	if refused != nil {
		op.answer(ctx, nil, c.server.failure(ctx, refused.cause))
		return nil
	}
	ctx, span := c.server.beginMessage(ctx)
	defer span.End(nil)
	op.run(graphql.StartOperationTrace(ctx), params, release)
	return nil
}

// run executes the operation, or starts it if it is a subscription.
func (op *operation) run(ctx context.Context, params *graphql.RawParams, release func()) {
	c, s := op.conn, op.conn.server
	began := time.Now()
	opCtx, _, refusal := s.prepare(ctx, params)
	if refusal != nil {
		op.answer(ctx, nil, refusal)
		return
	}
	defer op.log(ctx, opCtx, began)
	kind := opCtx.Operation.Operation
	if kind != ast.Subscription {
		place, err := s.inFlight.enter(c.principal)
		if err != nil {
			op.answer(ctx, nil, s.failure(ctx, err))
			return
		}
		defer place.Leave()
		release()
	}
	principal, ended, err := s.cfg.Auth.Reauthenticate(ctx, c.principal)
	if err != nil {
		op.answer(ctx, nil, s.failure(ctx, err))
		if ended {
			c.retire(closingFor(err))
		}
		return
	}
	ctx = auth.With(ctx, principal)
	s.persisted.store(ctx, opCtx)
	if c.device != nil {
		ctx = auth.WithDevice(ctx, c.device)
	}
	if kind == ast.Subscription {
		op.start(ctx, opCtx)
		return
	}
	f := c.out.newFence(false)
	defer f.lower()
	if resp := s.dispatch(fanout.WithReader(ctx, f), opCtx); resp != nil {
		op.answer(ctx, f, resp)
	} else if ctx.Err() == nil {
		op.answer(ctx, nil, s.failure(ctx, nil))
	}
}

// start starts a subscription.
func (op *operation) start(ctx context.Context, opCtx *graphql.OperationContext) {
	sub, refusal := op.conn.server.subscribe(ctx, opCtx, op, op.id)
	if refusal != nil {
		op.answer(ctx, nil, refusal)
		return
	}
	op.conn.mu.Lock()
	op.sub, op.cancel = sub, nil
	op.conn.mu.Unlock()
	if !sub.run() {
		sub.stop()
	}
}

// answer sends a response and ends the operation, unless the client has already ended it. It waits
// while too much is queued. f is the fence of the statuses in the response, or nil if it has none.
func (op *operation) answer(ctx context.Context, f *fence, resp *graphql.Response) {
	c := op.conn
	if !c.remove(op) {
		return
	}
	if resp.Data != nil {
		err := c.out.pushWait(f, nextMessage(op.id, encodeResponse(resp)), completeMessage(op.id))
		if err == nil {
			return
		}
		resp = c.server.failure(ctx, err)
	}
	_ = c.out.pushWait(nil, errorMessage(op.id, encodeJSON(resp.Errors))) // fails only with a fence
}

// stop ends the operation without sending anything more.
func (op *operation) stop() {
	op.conn.mu.Lock()
	cancel, sub := op.cancel, op.sub
	op.conn.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if sub != nil {
		sub.stop()
	}
}

func (op *operation) cork()   { op.conn.out.cork() }
func (op *operation) uncork() { op.conn.out.uncork() }

func (op *operation) newFence() *fence { return op.conn.out.newFence(true) }

func (op *operation) next(sub *subscription, key int64, payload []byte, f *fence) {
	m := textEvent(sub, key, payload)
	if f == nil {
		op.conn.send(m)
	} else {
		op.conn.sent(op.conn.out.pushRead(f, m))
	}
}

func (op *operation) hold(sub *subscription, key int64, payload []byte) {
	op.conn.sent(op.conn.out.hold(textEvent(sub, key, payload)))
}

func (op *operation) release() { op.conn.out.release() }

func (op *operation) end(sub *subscription, err error) {
	c := op.conn
	if !c.remove(op) {
		return
	}
	m := completeMessage(op.id)
	if err != nil {
		ctx := requestid.With(context.Background(), requestid.New())
		m = errorMessage(op.id, encodeJSON(gqlerror.List{c.server.cfg.Present(ctx, err)}))
	}
	c.sent(c.out.pushEnd(sub, m))
}

func (op *operation) log(ctx context.Context, opCtx *graphql.OperationContext, began time.Time) {
	log := op.conn.server.log
	if log.Enabled(ctx, slog.LevelDebug) {
		log.DebugContext(ctx, "operation",
			"requestId", requestid.From(ctx), "connection", op.conn.id, "transport", "websocket", "app", op.conn.principal.AppKey(),
			"type", string(opCtx.Operation.Operation), "operation", opCtx.Operation.Name, "took", time.Since(began))
	}
}
