// Package appconnections holds the rules about the connections that App Servers keep open: each node
// records its own in the database (Node), so that an operator can list and close the connections of
// all nodes (Service).
//
// A connection that an operator closes is marked in its row, which its node finds. All connections of
// an app are closed by a new generation in the app's row, so that this reaches those that are not
// recorded yet as well; see auth.Authenticator.Ended.
package appconnections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// Open is a recorded connection with the name of its node.
type Open struct {
	models.AppConnection
	Node string
}

// IsClosing reports whether an operator has closed the connection, as of the app's row, and the node
// has not done so yet.
func (o *Open) IsClosing(app *models.App) bool {
	return o.Closing || o.Generation != app.ConnectionGeneration
}

// Service lists and closes the connections of all nodes.
type Service struct {
	db    *database.DB
	bus   *bus.Bus
	clock func() time.Time

	mu        sync.Mutex
	listeners []func()
}

// closing notifies the other nodes that connections must be closed.
const closing bus.Subject[struct{}] = "app-connections"

// New returns a Service; clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, clock func() time.Time) *Service {
	s := &Service{db: db, bus: b, clock: clock}
	closing.Hear(b, func(context.Context, struct{}) { s.notify() })
	return s
}

// OnClosing calls fn, which must not block, whenever connections must be closed. On other nodes that
// is a hint, which can be lost.
func (s *Service) OnClosing(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, fn)
}

func (s *Service) notify() {
	s.mu.Lock()
	list := s.listeners
	s.mu.Unlock()
	for _, fn := range list {
		fn()
	}
}

// notifyAll notifies this node and the others.
func (s *Service) notifyAll() {
	s.notify()
	closing.Tell(s.bus, struct{}{})
}

// nodes returns the names of the nodes that are alive, by their IDs.
func (s *Service) nodes(ctx context.Context) (map[int64]string, error) {
	var list []models.ConnectionNode
	if err := s.db.Read(ctx).Where("seen_at >= " + aliveSince(s.db)).Find(&list).Error; err != nil {
		return nil, fmt.Errorf("reading which nodes are alive: %w", err)
	}
	names := make(map[int64]string, len(list))
	for _, n := range list {
		names[n.ID] = n.Name
	}
	return names, nil
}

// List returns a page of the app's connections, the newest first. A connection is listed about a
// second after it was opened. Returns INVALID_ARGUMENT for a cursor of another list.
func (s *Service) List(ctx context.Context, app *models.App, r page.Request) (*page.Connection[*Open], error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	alive := slices.Collect(maps.Keys(nodes))
	query := func(ctx context.Context) *gorm.DB {
		return s.db.Read(ctx).Model(&models.AppConnection{}).Table(s.db.Using("app_connections", "app_connections_app")).
			Where("app_id = ? AND node_id IN ?", app.ID, alive)
	}
	order := page.Order{List: "app-connections", Owner: app.ID, At: "connected_at", ID: "id"}
	rows, err := order.Limit(query(ctx), r)
	if err != nil {
		return nil, err
	}
	var found []models.AppConnection
	if err := rows.Find(&found).Error; err != nil {
		return nil, fmt.Errorf("listing connections: %w", err)
	}
	list, keys := make([]*Open, len(found)), make([]page.Key, len(found))
	for i, c := range found {
		list[i], keys[i] = &Open{c, nodes[c.NodeID]}, page.Key{At: c.ConnectedAt, ID: c.ID}
	}
	return page.Of(order, r, list, keys, func(ctx context.Context) (int, error) {
		var n int64
		err := query(ctx).Count(&n).Error
		return int(n), err
	}), nil
}

// ByID returns the app's connection with that ID, or nil if there is none.
func (s *Service) ByID(ctx context.Context, app *models.App, id int64) (*Open, error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	var c models.AppConnection
	err = s.db.Read(ctx).Where("id = ? AND app_id = ?", id, app.ID).Take(&c).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a connection: %w", err)
	}
	name, alive := nodes[c.NodeID]
	if !alive {
		return nil, nil
	}
	return &Open{c, name}, nil
}

// Close closes the app's connection with that ID, wherever it is. It reports whether there was
// anything to do: the connection is recorded and was not closed before. The token stays valid.
func (s *Service) Close(ctx context.Context, app *models.App, id int64, by models.Actor) (bool, error) {
	o, err := s.ByID(ctx, app, id)
	if err != nil || o == nil || o.IsClosing(app) {
		return false, err
	}
	var marked bool
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		result := tx.Model(&models.AppConnection{}).Where("id = ? AND app_id = ? AND closing = ?", id, app.ID, false).
			Update("closing", true)
		marked = result.RowsAffected > 0
		if result.Error != nil || !marked {
			return result.Error
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: models.TimeOf(s.clock()), Actor: by.Name, Action: audit.ActionAppCloseConnection, Target: app.Key,
			Detail:  fmt.Sprintf("transport=%s address=%s node=%s", o.Transport, o.Address, o.Node),
			Address: by.Address,
		})
	})
	if err != nil {
		return false, fmt.Errorf("closing a connection: %w", err)
	}
	if marked {
		s.notifyAll()
	}
	return marked, nil
}

// CloseAll closes all connections of the app's App Servers that are open now, on all nodes. The tokens
// stay valid. It reports whether the app exists.
func (s *Service) CloseAll(ctx context.Context, app *models.App, by models.Actor) (bool, error) {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		result := tx.Model(&models.App{}).Where("id = ?", app.ID).
			Update("connection_generation", gorm.Expr("connection_generation + 1"))
		if result.Error != nil {
			return result.Error
		}
		if result.RowsAffected == 0 {
			return gorm.ErrRecordNotFound
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: models.TimeOf(s.clock()), Actor: by.Name, Action: audit.ActionAppCloseConnections, Target: app.Key,
			Address: by.Address,
		})
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("closing an app's connections: %w", err)
	}
	s.notifyAll()
	return true, nil
}
