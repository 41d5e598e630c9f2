package transport

import (
	"context"
	"slices"

	"rollcall/internal/fault"
)

// open registers an operation, which cancel cancels. It returns nil if the connection accepts no
// more operations.
func (c *conn) open(id []byte, cancel context.CancelFunc) (*operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retiring != nil || c.out.isClosed() {
		return nil, nil
	}
	if slices.ContainsFunc(c.operations, func(op *operation) bool { return string(op.id) == string(id) }) {
		return nil, closeDuplicateID
	}
	// A client that does not read its responses has no open operations but keeps goroutines busy,
	// so both are counted.
	if limit := c.server.cfg.Limits.Operations; len(c.operations) >= limit || c.busy >= 2*limit {
		return nil, fault.New(fault.TooManyOperations, "%d operations are running on this connection; at most %d are allowed", len(c.operations), limit)
	}
	op := &operation{conn: c, id: id, cancel: cancel}
	c.operations = append(c.operations, op)
	c.busy++
	return op, nil
}

// remove frees op's ID. It reports false if the ID was already free, because the client has ended
// the operation or the connection has ended.
func (c *conn) remove(op *operation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.operations, op)
	if at >= 0 {
		c.operations = slices.Delete(c.operations, at, at+1)
	}
	return at >= 0
}

// settle records that a goroutine has finished work on an operation.
func (c *conn) settle() {
	if c.device != nil && c.device.LoggedOut() {
		c.retire(closeLoggedOut)
	}
	c.mu.Lock()
	c.busy--
	retiring := c.retiring
	idle := c.busy == 0
	c.mu.Unlock()
	if retiring != nil && idle {
		c.close(*retiring)
	}
}

// complete ends an operation at the client's request.
func (c *conn) complete(id []byte) {
	c.mu.Lock()
	at := slices.IndexFunc(c.operations, func(op *operation) bool { return string(op.id) == string(id) })
	if at < 0 {
		c.mu.Unlock()
		return // it has already ended
	}
	op := c.operations[at]
	c.operations = slices.Delete(c.operations, at, at+1)
	c.mu.Unlock()
	op.stop()
}
