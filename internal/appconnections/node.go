package appconnections

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// beatInterval is how often a node with connections reports that it is alive, and how often
	// each node looks for nodes that are not.
	beatInterval = 3 * time.Second
	// silence is after how much time without a report a node counts as dead. It stays dead: if it
	// was only cut off, it continues under a new ID.
	silence = 10 * time.Second
	// The most rows that one Sync inserts and deletes, so that a flood of connections costs the
	// database a bounded amount of work. The rest follows with the next.
	insertsPerSync = 500
	deletesPerSync = 1000
	// nodesPerSync is how many dead nodes are deleted.
	nodesPerSync = 10
)

// The lengths of the columns, in characters.
const (
	nameLength      = 128
	addressLength   = 64
	userAgentLength = 255
)

// aliveSince returns the expression for the moment since which a node must have been seen to count as
// alive.
func aliveSince(db *database.DB) string {
	return fmt.Sprintf("%s - %d", db.Now(), silence.Milliseconds())
}

// NodeName returns the name of this process for operators: the host's name and the process ID.
func NodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}

// Node records the connections of one node. Connections that were opened and closed between two calls
// of Sync are never written.
type Node struct {
	db   *database.DB
	name string

	mu sync.Mutex // for the whole of each method
	id int64      // 0: this node has no row
	// recorded are the connections that have rows, with their IDs there.
	recorded map[*models.AppConnection]int64
	// beatAt is when the node was last seen, or looked for dead ones.
	beatAt time.Time
}

// NewNode returns a Node with that name and no connections.
func NewNode(db *database.DB, name string) *Node {
	return &Node{db: db, name: validate.ClipASCII(name, nameLength), recorded: make(map[*models.AppConnection]int64)}
}

// Sync records that these are the node's open connections, which are identified by their pointers. It
// must be called about each second. It takes the fields AppID, Transport, Address, UserAgent,
// Generation and ConnectedAt of each.
func (n *Node) Sync(ctx context.Context, open []*models.AppConnection) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	due := time.Since(n.beatAt) >= beatInterval
	added, removed := n.changes(open)
	if len(added)+len(removed) > 0 || due && len(open) > 0 {
		if err := n.write(ctx, open, added, removed); err != nil {
			return fmt.Errorf("recording connections: %w", err)
		}
	}
	if !due {
		return nil
	}
	n.beatAt = time.Now()
	if n.id != 0 && len(open) == 0 && len(n.recorded) == 0 {
		if err := n.leave(ctx); err != nil {
			return err
		}
	}
	return n.sweep(ctx)
}

// changes returns the first of the connections that must be inserted and deleted.
func (n *Node) changes(open []*models.AppConnection) (added, removed []*models.AppConnection) {
	still := 0
	for _, c := range open {
		if _, ok := n.recorded[c]; ok {
			still++
		} else if len(added) < insertsPerSync {
			added = append(added, c)
		}
	}
	if still == len(n.recorded) {
		return added, nil
	}
	is := make(map[*models.AppConnection]struct{}, len(open))
	for _, c := range open {
		is[c] = struct{}{}
	}
	for c := range n.recorded {
		if _, ok := is[c]; !ok && len(removed) < deletesPerSync {
			removed = append(removed, c)
		}
	}
	return added, removed
}

// write writes these changes, and that the node is alive.
func (n *Node) write(ctx context.Context, open, added, removed []*models.AppConnection) error {
	var ids map[*models.AppConnection]int64
	var id int64
	err := n.db.Tx(ctx, func(tx *gorm.DB) error {
		id = n.id
		add, remove := added, removed
		alive, err := n.beat(tx)
		if err != nil {
			return err
		}
		if !alive {
			// The former rows, if there are any, belong to a node that is dead.
			id = rand.Int64N(1<<63-1) + 1
			add, remove = open[:min(len(open), insertsPerSync)], nil
			node := models.ConnectionNode{ID: id, Name: n.name}
			err := tx.Model(&models.ConnectionNode{}).Create(map[string]any{
				"id": node.ID, "name": node.Name, "seen_at": gorm.Expr(n.db.Now()),
			}).Error
			if err != nil {
				return err
			}
		}
		ids, err = insert(tx, id, add)
		if err != nil || len(remove) == 0 {
			return err
		}
		gone := make([]int64, len(remove))
		for i, c := range remove {
			gone[i] = n.recorded[c]
		}
		return tx.Where("id IN ?", gone).Delete(&models.AppConnection{}).Error
	})
	if err != nil {
		return err
	}
	if id != n.id {
		n.id = id
		clear(n.recorded)
	}
	for c, id := range ids {
		n.recorded[c] = id
	}
	for _, c := range removed {
		delete(n.recorded, c)
	}
	return nil
}

// beat reports that the node is alive; false: it has no row, or is taken for dead.
func (n *Node) beat(tx *gorm.DB) (bool, error) {
	if n.id == 0 {
		return false, nil
	}
	result := tx.Model(&models.ConnectionNode{}).
		Where("id = ? AND seen_at >= "+aliveSince(n.db), n.id).
		Update("seen_at", gorm.Expr(n.db.Now()))
	return result.RowsAffected > 0, result.Error
}

// insert adds rows under the node with that ID and returns their IDs.
func insert(tx *gorm.DB, nodeID int64, list []*models.AppConnection) (map[*models.AppConnection]int64, error) {
	ids := make(map[*models.AppConnection]int64, len(list))
	rows := make([]models.AppConnection, len(list))
	for i, c := range list {
		row := *c
		row.ID, row.NodeID, row.Closing = rand.Int64N(1<<63-1)+1, nodeID, false
		row.Address = validate.ClipASCII(c.Address, addressLength)
		row.UserAgent = validate.Clip(c.UserAgent, userAgentLength)
		rows[i], ids[c] = row, row.ID
	}
	if len(rows) == 0 {
		return ids, nil
	}
	return ids, tx.Create(&rows).Error
}

// Closing returns those of the node's connections that an operator has closed. They are returned
// again until Sync is called without them.
func (n *Node) Closing(ctx context.Context) ([]*models.AppConnection, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.recorded) == 0 {
		return nil, nil
	}
	var marked []int64
	err := n.db.Read(ctx).Model(&models.AppConnection{}).Where("node_id = ? AND closing = ?", n.id, true).Pluck("id", &marked).Error
	if err != nil {
		return nil, fmt.Errorf("reading which connections must be closed: %w", err)
	}
	if len(marked) == 0 {
		return nil, nil
	}
	byID := make(map[int64]*models.AppConnection, len(n.recorded))
	for c, id := range n.recorded {
		byID[id] = c
	}
	var list []*models.AppConnection
	for _, id := range marked {
		if c := byID[id]; c != nil {
			list = append(list, c)
		}
	}
	return list, nil
}

// Leave deletes all that the node has recorded, because it stops.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.id == 0 {
		return nil
	}
	return n.leave(ctx)
}

func (n *Node) leave(ctx context.Context) error {
	err := n.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.ConnectionNode{}).Where("id = ?", n.id).Update("seen_at", 0).Error
	})
	for left := true; left && err == nil; {
		left, err = n.clean(ctx, n.id)
	}
	if err != nil {
		return fmt.Errorf("deleting the records of this node's connections: %w", err)
	}
	n.id = 0
	clear(n.recorded)
	return nil
}

// sweep deletes what dead nodes have left, some of it.
func (n *Node) sweep(ctx context.Context) error {
	var dead []int64
	err := n.db.Read(ctx).Model(&models.ConnectionNode{}).Where("seen_at < "+aliveSince(n.db)).Limit(nodesPerSync).Pluck("id", &dead).Error
	for i := 0; i < len(dead) && err == nil; i++ {
		var left bool
		if left, err = n.clean(ctx, dead[i]); left {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("deleting the connections of dead nodes: %w", err)
	}
	return nil
}

// clean deletes a dead node with its connections, and reports whether some of these are left.
func (n *Node) clean(ctx context.Context, id int64) (left bool, err error) {
	err = n.db.Tx(ctx, func(tx *gorm.DB) error {
		left = false
		// From now on its process, should it come back, cannot use this ID any more.
		dead := tx.Model(&models.ConnectionNode{}).Where("id = ? AND seen_at < "+aliveSince(n.db), id).Update("seen_at", 0)
		if dead.Error != nil || dead.RowsAffected == 0 {
			return dead.Error
		}
		var ids []int64
		err := tx.Model(&models.AppConnection{}).Where("node_id = ?", id).Limit(deletesPerSync).Pluck("id", &ids).Error
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			if err := tx.Where("id IN ?", ids).Delete(&models.AppConnection{}).Error; err != nil {
				return err
			}
		}
		if left = len(ids) == deletesPerSync; left {
			return nil
		}
		return tx.Where("id = ?", id).Delete(&models.ConnectionNode{}).Error
	})
	return left, err
}
