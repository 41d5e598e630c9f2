package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// maxRedirections is how often a command follows the masters of a cluster that refer to each other.
	maxRedirections = 5
	// insistPause is the time between attempts of a command that a cluster cannot carry out for the
	// moment.
	insistPause = 50 * time.Millisecond
)

// errClusterDatabase is returned for a URL with a database number, if the servers are a cluster.
var errClusterDatabase = errors.New("a Redis Cluster has only database 0; remove the number from the URL")

// tagged returns the beginning of the keys and channels of a service in a cluster. The braces make the
// service's name the hash tag, so that one slot has all of them.
func tagged(service string) string { return "{" + service + "}:" }

// cluster follows the servers of a Redis Cluster. The rueidis client finds out by itself which server
// has a slot: it asks whenever it is redirected or loses a connection.
type cluster struct {
	dialer  *dialer
	log     *slog.Logger
	cancel  context.CancelFunc
	running sync.WaitGroup
	// looking guards looked, which is when master last looked.
	looking sync.Mutex
	looked  time.Time

	mu sync.Mutex
	// slots is which master has which slots, in the order of the slots.
	slots    []slotRange
	switches int
}

// slotRange is slots that a master has.
type slotRange struct {
	first, last int64
	master      string
}

func newCluster(d *dialer, log *slog.Logger) *cluster {
	return &cluster{dialer: d, log: log, cancel: func() {}}
}

// findCluster reports whether the servers in the URL are members of a Redis Cluster, as the greeting of
// the first that responds shows. A server that does not know HELLO is none. known is false if no server
// responded.
func (l *locator) findCluster() (found, known bool) {
	if l.master != "" {
		return false, true
	}
	modes, _ := askAll(context.Background(), l.hosts, 1, func(ctx context.Context, address string) (string, error) {
		option := l.option
		option.SelectDB = 0
		client, err := l.newClient(address, option)
		if err != nil {
			return "", err
		}
		defer client.Close()
		greeting, err := client.Do(ctx, client.B().Arbitrary("HELLO", "3").Build()).AsMap()
		if _, refused := errors.AsType[*rueidis.RedisError](err); err != nil && !refused {
			return "", err
		}
		mode := greeting["mode"]
		name, _ := mode.ToString()
		return cmp.Or(name, modeUnknown), nil
	})
	return slices.Contains(modes, modeCluster), slices.ContainsFunc(modes, func(mode string) bool { return mode != "" })
}

// The modes of servers in their greetings; others are those of single servers.
const (
	modeCluster = "cluster"
	modeUnknown = "unknown"
)

// connect implements servers.
func (c *cluster) connect(ctx context.Context, network *net.Dialer, address string) (net.Conn, error) {
	return c.dialer.dial(ctx, network, address)
}

// watch implements servers. The regular change also makes the rueidis client find a new master.
func (c *cluster) watch(client *Client) {
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	c.look(ctx, client)
	c.running.Go(func() {
		for {
			select {
			case <-time.After(watchInterval):
			case <-ctx.Done():
				return
			}
			_ = client.Writable(ctx)
			c.look(ctx, client)
		}
	})
}

// look notes which masters the cluster has. It asks the servers one after another until one responds.
func (c *cluster) look(ctx context.Context, client *Client) {
	for address, server := range client.Nodes() {
		slots, err := slotsOf(ctx, server, address)
		if err == nil && len(slots) > 0 {
			c.note(slots)
			return
		}
	}
}

// errSlots is returned for a server that describes its slots in another form.
var errSlots = errors.New("the slots of the Redis Cluster have an unknown form")

// slotsOf asks the server at that address which master has which slots.
func slotsOf(ctx context.Context, server rueidis.Client, address string) ([]slotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	ranges, err := server.Do(ctx, server.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return nil, err
	}
	own, _, _ := net.SplitHostPort(address)
	list := make([]slotRange, 0, len(ranges))
	for i := range ranges {
		// The first slot, the last, and HOST, PORT … of the master and of its replicas.
		fields, err := ranges[i].ToArray()
		if err != nil || len(fields) < 3 {
			return nil, errSlots
		}
		master, err := fields[2].ToArray()
		if err != nil || len(master) < 2 {
			return nil, errSlots
		}
		first, failed := fields[0].AsInt64()
		last, failedLast := fields[1].AsInt64()
		port, failedPort := master[1].AsInt64()
		if err := errors.Join(failed, failedLast, failedPort); err != nil {
			return nil, err
		}
		host, _ := master[0].ToString() // a server that does not know its own address has none here
		list = append(list, slotRange{first, last, net.JoinHostPort(cmp.Or(host, own), strconv.FormatInt(port, 10))})
	}
	slices.SortFunc(list, func(a, b slotRange) int { return cmp.Compare(a.first, b.first) })
	return list, nil
}

// note notes which master has which slots, and logs a change.
func (c *cluster) note(slots []slotRange) {
	c.mu.Lock()
	former := c.slots
	c.slots = slots
	changed := former != nil && !slices.Equal(former, slots)
	if changed {
		c.switches++
	}
	c.mu.Unlock()
	switch {
	case former == nil:
		c.log.Info("found the masters of the Redis Cluster", "masters", mastersOf(slots))
	case changed:
		c.log.Warn("slots of the Redis Cluster have moved to other masters", "masters", mastersOf(slots), "former", mastersOf(former))
	}
}

func mastersOf(slots []slotRange) (masters []string) {
	for _, r := range slots {
		if !slices.Contains(masters, r.master) {
			masters = append(masters, r.master)
		}
	}
	slices.Sort(masters)
	return masters
}

func (c *cluster) current() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return mastersOf(c.slots)
}

func (c *cluster) switched() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.switches
}

// strays implements servers: the client's slot is at another master, which accepts changes.
func (c *cluster) strays(ctx context.Context, client *Client, err error) bool {
	refused, ok := errors.AsType[*rueidis.RedisError](err)
	return ok && slices.Contains(elsewhere, firstWord(refused.Error())) && client.Writable(ctx) == nil
}

// elsewhere are the first words of the errors of a server that does not have the slot, or is separated
// from its cluster.
var elsewhere = []string{"MOVED", "CLUSTERDOWN", "READONLY", "MASTERDOWN"}

func (c *cluster) stop() { c.cancel() }

func (c *cluster) close() {
	c.cancel()
	c.running.Wait()
}

// insistent is a client of a cluster that repeats commands that were certainly not carried out because
// slots are moving or a master is being replaced. It does so until their context ends, or until no
// command of the slot could be carried out for OperationTimeout: during a longer outage, callers
// receive the error at once.
type insistent struct {
	rueidis.Client
	// failing is since when commands of a slot cannot be carried out, in ns of Unix time; 0 if they can
	// be. The last element is for commands without a slot.
	failing *[clusterSlots + 1]atomic.Int64
}

// clusterSlots is how many slots a cluster has.
const clusterSlots = 16384

func newInsistent(client rueidis.Client) insistent {
	return insistent{client, new([clusterSlots + 1]atomic.Int64)}
}

// Do implements rueidis.Client.
func (c insistent) Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	command = command.Pin() // it may be sent again
	for {
		result := c.Client.Do(ctx, command)
		if !c.again(command, result.Error()) || !pause(ctx) {
			return result
		}
	}
}

// DoMulti implements rueidis.Client.
func (c insistent) DoMulti(ctx context.Context, commands ...rueidis.Completed) []rueidis.RedisResult {
	for i := range commands {
		commands[i] = commands[i].Pin()
	}
	results := c.Client.DoMulti(ctx, commands...)
	for {
		var again []int
		for i := range results {
			if c.again(commands[i], results[i].Error()) {
				again = append(again, i)
			}
		}
		if len(again) == 0 || !pause(ctx) {
			return results
		}
		repeated := make([]rueidis.Completed, len(again))
		for i, place := range again {
			repeated[i] = commands[place]
		}
		for i, result := range c.Client.DoMulti(ctx, repeated...) {
			results[again[i]] = result
		}
	}
}

// again reports whether a command with that error must be repeated.
func (c insistent) again(command rueidis.Completed, err error) bool {
	failing := &c.failing[min(command.Slot(), clusterSlots)]
	if !untried(err) {
		_, refused := errors.AsType[*rueidis.RedisError](err)
		if responded := err == nil || refused; responded && failing.Load() != 0 {
			failing.Store(0)
		}
		return false
	}
	now := time.Now().UnixNano()
	since := failing.Load()
	if since == 0 {
		since = now
		failing.CompareAndSwap(0, now)
	}
	return now-since < int64(OperationTimeout)
}

// pause waits before a command is repeated. It reports false if ctx ends before.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(insistPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// untried reports whether err means that the command was not carried out, and that the cluster may
// carry it out soon.
func untried(err error) bool {
	if err == nil {
		return false
	}
	if refused, ok := errors.AsType[*rueidis.RedisError](err); ok {
		return slices.Contains(passing, firstWord(refused.Error()))
	}
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "dial" || errors.Is(err, rueidis.ErrNoSlot)
}

// passing are the first words of the errors of a cluster that is changing.
var passing = strings.Fields("TRYAGAIN MOVED ASK CLUSTERDOWN LOADING MASTERDOWN")
