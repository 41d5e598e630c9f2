package node

import (
	"context"
	"strings"
	"time"
)

// Join makes this node, which has a Redis and will serve at the address, one of the nodes of the service.
// It must be called before Start, which sets the users to OFFLINE that this node's Redis does not know.
// Returns an error if a node that cannot see this one's devices still runs on the database after wait: one
// without Redis, or with another one.
func (n *Node) Join(ctx context.Context, address string, wait time.Duration) error {
	w := waiting{n.cfg.DB, wait, n.cfg.Logger}
	if err := n.announce(ctx, address, w); err != nil {
		return err
	}
	return w.forEnd(ctx, func() (string, error) {
		strangers, err := n.vitals.Meet(ctx, address)
		if err != nil || len(strangers) == 0 {
			return "", err
		}
		return strings.Join(strangers, ", ") + ", with another Redis", nil
	})
}

// announce reports the node to the others while no node without Redis runs. One that starts later finds
// the report.
func (n *Node) announce(ctx context.Context, address string, w waiting) error {
	lock, err := n.cfg.DB.NodeLock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := w.forEnd(ctx, func() (string, error) { return withoutRedis(ctx, lock) }); err != nil {
		return err
	}
	if _, err := n.vitals.Meet(ctx, address); err != nil {
		return err
	}
	n.report(ctx, address)
	return nil
}

// report makes the node report itself to the others until endReports is called.
func (n *Node) report(ctx context.Context, address string) {
	ctx, cancel := context.WithCancel(n.cfg.Tracer.With(context.WithoutCancel(ctx)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.vitals.Run(ctx, address)
	}()
	n.endReports = func() {
		cancel()
		<-done
		n.endReports = nil
	}
}
