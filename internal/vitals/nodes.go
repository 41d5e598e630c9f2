package vitals

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/internal/retention"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// BeatInterval is how often a node reports itself, and beatTimeout how long one report may take.
	BeatInterval = 2 * time.Second
	beatTimeout  = 2 * time.Second
	// redisIDTimeout is how long the report waits for the ID of Redis.
	redisIDTimeout = 500 * time.Millisecond
	// silence is after how much time without a report a node counts as lost.
	silence = 6 * time.Second
	// fresh is for how long after its loss a node is named on every page, because the number of online
	// users is uncertain: its users were counted as online for some seconds after the loss, and then
	// count as offline until they connect to another node.
	fresh = 10 * time.Minute
	// KeepLost is how long a lost node is listed.
	KeepLost = 24 * time.Hour
	// listed is how many nodes are listed at most, those that reported last.
	listed = 100
)

// The lengths of the columns, in characters.
const (
	nameLength    = 128
	placeLength   = 255
	versionLength = 64
)

// NodeState is what is known about a node.
type NodeState string

// The states. A node is Unsure if it has not reported for a while, but this node could not have
// received its reports either.
const (
	Running  NodeState = "RUNNING"
	Stopping NodeState = "STOPPING"
	Unsure   NodeState = "UNSURE"
	Lost     NodeState = "LOST"
)

// Peer is a node of the service.
type Peer struct {
	Name, Version string
	State         NodeState
	// Started is when it started, and Seen its last sign of life.
	Started, Seen models.Time
	// Devices is the number of devices that were connected to it then.
	Devices int
	// Database and Redis are its round trips; 0 if unknown, as while the server is away.
	Database, Redis time.Duration
	// Fresh reports whether the node was lost so recently that the number of online users is
	// uncertain.
	Fresh bool
}

// Since returns since when the node has been in its state.
func (p Peer) Since() models.Time {
	if p.State == Lost || p.State == Unsure {
		return p.Seen
	}
	return p.Started
}

// Health is the state of the service as this node sees it.
type Health struct {
	Database Server
	// Redis is nil if this is the only node.
	Redis *Server
	// Self is this node, and Others are the others: those that reported last first.
	Self   Peer
	Others []Peer
}

// reported is a node's row with its age when it was read.
type reported struct {
	models.ServiceNode
	Age int64 // in ms
}

// Health returns the state of the service. It does not block.
func (n *Node) Health() Health {
	now := models.TimeOf(n.Clock())
	h := Health{Database: n.database.server(), Self: Peer{
		Name: n.Name, Version: n.Version, State: Running, Started: n.started, Seen: now, Devices: n.Devices(),
	}}
	h.Self.Database = h.Database.RoundTrip
	if n.stopping.Load() {
		h.Self.State = Stopping
	}
	if n.redis != nil {
		server := n.redis.server()
		h.Redis, h.Self.Redis = &server, server.RoundTrip
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.others {
		h.Others = append(h.Others, n.peer(r))
	}
	return h
}

// peer returns what is known about another node. The caller holds n.mu.
func (n *Node) peer(r reported) Peer {
	p := Peer{
		Name: r.Name, Version: r.Version, State: Running, Started: r.StartedAt, Seen: r.SeenAt, Devices: r.Devices,
		Database: time.Duration(r.DatabaseMicros) * time.Microsecond, Redis: time.Duration(r.RedisMicros) * time.Microsecond,
	}
	age := time.Duration(r.Age) * time.Millisecond
	current := !n.beatAt.IsZero() && time.Since(n.beatAt) < silence
	switch {
	case current && age < silence && r.Stopping:
		p.State = Stopping
	case current && age < silence:
	case current && time.Since(n.steady) >= silence:
		p.State, p.Fresh = Lost, age < fresh
	default:
		p.State = Unsure
	}
	return p
}

// reportRegularly reports this node and reads the others until ctx ends, and then deletes its row.
func (n *Node) reportRegularly(ctx context.Context, place string) {
	warnings := outage.NewLog(n.Logger)
	arrived := false
	for ctx.Err() == nil {
		err := n.beat(ctx, place, !arrived)
		arrived = arrived || err == nil
		if err != nil && !outage.CallerGone(ctx, err) {
			warnings.Warn(ctx, "this node cannot report itself to the others; retrying", "error", err)
		}
		select {
		case <-time.After(BeatInterval):
		case <-ctx.Done():
		}
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	if err := n.leave(leaving); err != nil {
		n.Logger.WarnContext(ctx, "this node could not report that it has stopped; the others will list it as lost", "error", err)
	}
}

// beat reports this node and reads the others. If arriving is true, it deletes rows of the nodes that
// this one has replaced.
func (n *Node) beat(ctx context.Context, place string, arriving bool) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	err := n.write(ctx, validate.ClipASCII(place, placeLength), arriving)
	var others []reported
	if err == nil {
		others, err = n.readOthers(ctx)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.beatAt, n.steady = time.Time{}, time.Time{}
		return err
	}
	n.others, n.beatAt = others, time.Now()
	if n.steady.IsZero() {
		n.steady = n.beatAt
	}
	return nil
}

func (n *Node) write(ctx context.Context, place string, arriving bool) error {
	values := map[string]any{
		"redis_id": n.readRedisID(ctx),
		"stopping": n.stopping.Load(), "devices": n.Devices(), "seen_at": gorm.Expr(n.DB.Now()),
		"database_micros": n.database.server().RoundTrip.Microseconds(), "redis_micros": n.redis.server().RoundTrip.Microseconds(),
	}
	err := n.DB.Tx(ctx, func(tx *gorm.DB) error {
		if arriving {
			if err := tx.Where("place = ? AND id <> ?", place, n.id).Delete(&models.ServiceNode{}).Error; err != nil {
				return err
			}
		}
		renewed := tx.Model(&models.ServiceNode{}).Where("id = ?", n.id).Updates(values)
		if renewed.Error != nil || renewed.RowsAffected > 0 {
			return renewed.Error
		}
		first := map[string]any{
			"id": n.id, "name": validate.ClipASCII(n.Name, nameLength), "place": place,
			"version": validate.ClipASCII(n.Version, versionLength), "started_at": n.started,
		}
		for column, value := range values {
			first[column] = value
		}
		return tx.Model(&models.ServiceNode{}).Create(first).Error
	})
	if err != nil {
		return fmt.Errorf("reporting this node: %w", err)
	}
	return nil
}

// readRedisID returns the ID of this node's Redis, or the last one while Redis is away.
func (n *Node) readRedisID(ctx context.Context) string {
	var id string
	if n.Redis != nil && !n.redis.server().Away { // a Redis that is away must not delay the report
		ctx, cancel := context.WithTimeout(ctx, redisIDTimeout)
		defer cancel()
		id, _ = n.Redis.ID(ctx) // the regular look reports the error
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.redisID = cmp.Or(id, n.redisID)
	return n.redisID
}

func (n *Node) readOthers(ctx context.Context) (others []reported, err error) {
	err = n.DB.Read(ctx).Model(&models.ServiceNode{}).Select("*, "+n.DB.Now()+" - seen_at AS age").
		Where("id <> ?", n.id).Order("seen_at DESC").Limit(listed).Find(&others).Error
	if err != nil {
		return nil, fmt.Errorf("reading the other nodes: %w", err)
	}
	return others, nil
}

// Meet reports this node, which has a Redis, to the others, before Run does so regularly, and returns the
// names of those that run with another Redis. A node that was killed counts as running for some seconds.
func (n *Node) Meet(ctx context.Context, address string) (strangers []string, err error) {
	id, err := n.Redis.ID(ctx)
	if err != nil { // without the ID, all nodes would look like strangers
		return nil, fmt.Errorf("reading the ID by which nodes know their Redis: %w", err)
	}
	n.mu.Lock()
	n.redisID = id
	n.mu.Unlock()
	if err := n.beat(ctx, place(address), true); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.others {
		if r.Age < silence.Milliseconds() && r.RedisID != "" && r.RedisID != n.redisID {
			strangers = append(strangers, r.Name)
		}
	}
	return strangers, nil
}

// RunningOn returns the names of the nodes that run on the database with a Redis. A node that was killed
// counts as running for some seconds. A schema without their table has none.
func RunningOn(ctx context.Context, db *database.DB) (names []string, err error) {
	if !db.Read(ctx).Migrator().HasTable(&models.ServiceNode{}) {
		return nil, nil
	}
	err = db.Read(ctx).Model(&models.ServiceNode{}).Where(db.Now()+" - seen_at < ?", silence.Milliseconds()).
		Order("name").Pluck("name", &names).Error
	if err != nil {
		return nil, fmt.Errorf("reading which nodes run: %w", err)
	}
	return names, nil
}

// leave deletes this node's row, because it stops.
func (n *Node) leave(ctx context.Context) error {
	return n.DB.Tx(ctx, func(tx *gorm.DB) error { return tx.Where("id = ?", n.id).Delete(&models.ServiceNode{}).Error })
}

// Expiring returns the rule that deletes the rows of lost nodes.
func Expiring() []retention.Rule {
	return []retention.Rule{{Rows: "lost nodes", Table: &models.ServiceNode{}, Key: "id", Column: "seen_at", Age: KeepLost}}
}

func newID() int64 { return rand.Int64N(1<<63-1) + 1 }
