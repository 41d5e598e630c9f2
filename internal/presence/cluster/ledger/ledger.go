package ledger

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/models"
)

//go:embed prelude.lua
var prelude string

//go:embed renew.lua
var renewLua string

//go:embed retire.lua
var retireLua string

//go:embed sweep.lua
var sweepLua string

//go:embed connect.lua
var connectLua string

//go:embed leave.lua
var leaveLua string

//go:embed setstatus.lua
var setStatusLua string

//go:embed restore.lua
var restoreLua string

//go:embed lapse.lua
var lapseLua string

//go:embed changes.lua
var changesLua string

// script returns a script with the prelude that all scripts share.
func script(text string) *rueidis.Lua { return rueidis.NewLuaScript(prelude + "\n" + text) }

var (
	renewScript     = script(renewLua)
	retireScript    = script(retireLua)
	sweepScript     = script(sweepLua)
	connectScript   = script(connectLua)
	leaveScript     = script(leaveLua)
	setStatusScript = script(setStatusLua)
	restoreScript   = script(restoreLua)
	lapseScript     = script(lapseLua)
	changesScript   = script(changesLua)
)

// ErrLeaseLost is returned if the node holds no lease, or no longer does: it must enter again under
// another name.
var ErrLeaseLost = errors.New("the node holds no lease in Redis")

// ErrDataLost is returned for a step that relies on data that Redis no longer has.
var ErrDataLost = errors.New("the data in Redis was lost")

// RevokedError asks the caller of Connect to check again whether the user may connect, because its
// access may have been revoked since the last check.
type RevokedError struct {
	// Mark is the Mark of the next Connect.
	Mark int64
}

// Error returns the message.
func (e *RevokedError) Error() string { return "the user's access was revoked a moment ago" }

// LoginError asks the caller of Connect to record the login in the database first.
type LoginError struct {
	// At is the time of the login, which is reserved for it.
	At models.Time
}

// Error returns the message.
func (e *LoginError) Error() string { return "the login must be recorded first" }

// Ledger is the accounts of one service, or of one bucket of it. All methods may be called from any
// goroutine; a failed one may have been carried out or not.
type Ledger struct {
	redis *redis.Client
	// clock is what Redis's clock was at the last renewal, or nil.
	clock atomic.Pointer[clock]
}

// clock is a reading of Redis's clock, in ms. It may be ahead by the time of a round trip.
type clock struct {
	redis int64
	local time.Time
}

// New returns the ledger in that Redis.
func New(client *redis.Client) *Ledger { return &Ledger{redis: client} }

// UserChannel returns the channel of the user's records, which Parse parses.
func (l *Ledger) UserChannel(userID int64) string { return l.redis.Key("user:" + text(userID)) }

// AppChannel returns the channel of the records of all users of the app.
func (l *Ledger) AppChannel(appID int64) string { return l.redis.Key("app:" + text(appID)) }

// CutChannels returns the channels of cuts for a process, which ParseCut parses: that for all nodes,
// and that for devices at the nodes whose names begin with the identity and a dot.
func (l *Ledger) CutChannels(identity string) []string {
	return []string{l.redis.Key("cut"), l.redis.Key("cut:" + identity)}
}

// run executes a script with a time limit, after which Redis refuses to begin it. It ignores ctx's
// cancellation, so that the caller learns the result.
func (l *Ledger) run(ctx context.Context, s *rueidis.Lua, args ...string) ([]string, error) {
	deadline := int64(0)
	if c := l.clock.Load(); c != nil {
		deadline = c.redis + (time.Since(c.local) + redis.OperationTimeout).Milliseconds()
	}
	return l.runUntil(ctx, deadline, s, args...)
}

// runUntil is run with a time of Redis's clock, in ms, or 0 if Redis must not refuse the script.
func (l *Ledger) runUntil(ctx context.Context, deadline int64, s *rueidis.Lua, args ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redis.OperationTimeout)
	defer cancel()
	return s.Exec(ctx, l.redis.Client, l.redis.ScriptKeys(), append([]string{text(deadline)}, args...)).AsStrSlice()
}

// Renewal is a node that renews its lease.
type Renewal struct {
	Node   string
	Length time.Duration
	// Enter begins the lease if the node has none.
	Enter bool
	// Others are former names of the node whose leases are prolonged, if they have any.
	Others []string
	// End is the end of the lease that the last renewal returned, or 0 if there was none. Version
	// is the latest version that the node has seen. If Redis has an earlier one of either, its data
	// was rolled back.
	End, Version int64
	// Reconnected reports whether the connection was lost since the last renewal. It matters only
	// if Redis does not permit INFO, which identifies the server.
	Reconnected bool
}

// Lease is what Renew returns.
type Lease struct {
	// Held reports whether the node holds its lease. If not, it must enter under another name.
	Held bool
	// End is when the lease ends, in ms of Redis's clock.
	End int64
	// Version is the latest of all.
	Version int64
	// Born is when this data began, in µs of Redis's clock. A value other than the previous one
	// means that data was lost: Redis came back empty or with older data, or another server has
	// taken over.
	Born int64
	// Dead are nodes whose leases have lapsed; the first node that can must sweep them.
	Dead []string
}

// Renew prolongs a node's lease.
func (l *Ledger) Renew(ctx context.Context, in Renewal) (Lease, error) {
	args := append([]string{in.Node, text(in.Length.Milliseconds()), flag(in.Enter), text(in.End),
		text(in.Version), flag(in.Reconnected)}, in.Others...)
	sent := time.Now()
	// It is not refused: after it, this node knows the clock of another server.
	out, err := l.runUntil(ctx, 0, renewScript, args...)
	if err != nil {
		return Lease{}, fmt.Errorf("renewing the node's lease: %w", err)
	}
	l.clock.Store(&clock{redis: number(out[1]) - in.Length.Milliseconds() + 1, local: sent})
	return Lease{
		Held: out[0] == "1", End: number(out[1]), Version: number(out[2]), Born: number(out[3]), Dead: out[4:],
	}, nil
}

// Retire ends a node's lease. Its devices must then be swept.
func (l *Ledger) Retire(ctx context.Context, node string) error {
	if _, err := l.run(ctx, retireScript, node); err != nil {
		return fmt.Errorf("ending the node's lease: %w", err)
	}
	return nil
}

// sweepLimit is how many accounts one step sweeps at most, so that none blocks Redis for long.
const sweepLimit = 200

// Unswept returns the IDs of some accounts with devices at the node, for Sweep.
func (l *Ledger) Unswept(ctx context.Context, node string) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	members := l.redis.B().Srandmember().Key(l.redis.Key("node:" + node)).Count(sweepLimit).Build()
	ids, err := l.redis.Do(ctx, members).AsIntSlice()
	if err != nil {
		return nil, fmt.Errorf("reading a dead node's accounts: %w", err)
	}
	return ids, nil
}

// Sweep removes the devices of a dead node from these accounts. An account without further devices
// goes OFFLINE, or to the presence of its row if that is not ONLINE and is newer than the one in
// Redis. Sweep returns the accounts whose presence has changed, and reports in more whether the
// node has further accounts.
func (l *Ledger) Sweep(ctx context.Context, node string, rows []status.Account, now models.Time) (changed []*status.Record, more bool, err error) {
	args := []string{node, text(int64(now))}
	for _, u := range rows {
		args = append(args, text(u.ID), text(int64(u.Presence)), text(int64(u.Since)))
	}
	out, err := l.run(ctx, sweepScript, args...)
	if err != nil {
		return nil, false, fmt.Errorf("sweeping a dead node: %w", err)
	}
	changed, err = parseAll(out[1:])
	return changed, out[0] == "1", err
}

// Login is a device that connects.
type Login struct {
	Node   string
	User   status.Account
	Device models.Device
	Now    models.Time
	// Mark is the version of the last revocation after which the caller has checked the user's
	// access; 0 if there was none.
	Mark int64
	// Recorded is the At of a LoginError, if the database holds it; else 0.
	Recorded models.Time
	// Limit is how many devices the account may have, including this one; 0 means any number. The
	// oldest beyond it are taken out, and their nodes receive Reason for cutting their links.
	Limit  int
	Reason string
}

// Connected is what Connect returns.
type Connected struct {
	Record *status.Record
	// Came reports whether the user has come ONLINE with the device.
	Came bool
	// Added is the version with which the device was added.
	Added int64
	// Surplus are the devices that were taken out because of the limit.
	Surplus []string
}

// Connect adds a device. It returns ErrLeaseLost, a *RevokedError or a *LoginError if it did not
// add the device.
func (l *Ledger) Connect(ctx context.Context, in Login) (Connected, error) {
	args := append([]string{in.Node}, argsOf(in.User)...)
	args = append(args, in.Device.ID, device(in.Device), text(int64(in.Now)), text(in.Mark), text(int64(in.Recorded)),
		text(int64(in.Limit)), in.Reason)
	out, err := l.run(ctx, connectScript, args...)
	if err != nil {
		return Connected{}, fmt.Errorf("adding a device: %w", err)
	}
	switch out[0] {
	case "lost":
		return Connected{}, ErrLeaseLost
	case "revoked":
		return Connected{}, &RevokedError{Mark: number(out[1])}
	case "login":
		return Connected{}, &LoginError{At: models.Time(number(out[1]))}
	}
	record, err := Parse(out[2])
	return Connected{Record: record, Came: out[1] == "1", Added: number(out[3]), Surplus: out[4:]}, err
}

// Departure is devices that leave.
type Departure struct {
	User status.Account
	// Devices are the IDs of those that leave. If All is set, all of the account's devices leave.
	Devices []string
	All     bool
	// To is the account's presence when no device is left.
	To  models.Presence
	Now models.Time
	// Revoke reports whether the user's access was revoked, so that Connect returns a RevokedError
	// until the caller has checked it again.
	Revoke bool
	// Deleted reports whether the user has been deleted, so that Redis soon forgets its external ID.
	Deleted bool
	// Reason is a word that the devices' nodes, or all nodes if Revoke is set, receive for cutting their
	// links. If it is empty, no node receives a message.
	Reason string
}

// Leave takes devices out. changed reports whether the status has changed; gone are the devices that
// were there.
func (l *Ledger) Leave(ctx context.Context, in Departure) (record *status.Record, changed bool, gone []string, err error) {
	args := append(argsOf(in.User), text(int64(in.To)), text(int64(in.Now)), flag(in.Revoke), flag(in.Deleted), in.Reason)
	if in.All {
		args = append(args, "*")
	} else {
		args = append(args, in.Devices...)
	}
	out, err := l.run(ctx, leaveScript, args...)
	if err != nil {
		return nil, false, nil, fmt.Errorf("taking devices out: %w", err)
	}
	record, err = Parse(out[1])
	return record, out[0] == "1", out[2:], err
}

// SetStatus gives an account a custom status. It returns nil if the account is not ONLINE.
func (l *Ledger) SetStatus(ctx context.Context, userID int64, custom string, now models.Time) (*status.Record, error) {
	out, err := l.run(ctx, setStatusScript, text(userID), custom, text(int64(now)))
	if err != nil {
		return nil, fmt.Errorf("setting a custom status: %w", err)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return Parse(out[0])
}

// Placed is a device and the version with which it was added.
type Placed struct {
	models.Device
	Added int64
}

// Restored is what Restore returns.
type Restored struct {
	Record *status.Record
	// Came reports whether the user has come ONLINE with the devices.
	Came bool
	// Cut are the devices that were not written because they were disconnected: the reasons passed
	// to Leave, by the devices' IDs.
	Cut map[string]string
}

// Restore writes a node's devices of an account again, after Redis may have lost them or other
// nodes may have swept them. known is the record that the node last received of the account, with
// the custom status that the account had when it was last ONLINE. It returns ErrLeaseLost.
func (l *Ledger) Restore(ctx context.Context, node string, known *status.Record, devices []Placed, now models.Time) (Restored, error) {
	args := []string{node, text(known.ID), text(known.AppID), known.ExternalID, text(known.Version), text(known.Content),
		text(int64(known.Presence)), text(int64(known.Since)), text(int64(known.CustomSince)), known.Custom, text(int64(now))}
	for _, d := range devices {
		args = append(args, d.ID, device(d.Device), text(d.Added))
	}
	out, err := l.run(ctx, restoreScript, args...)
	if err != nil {
		return Restored{}, fmt.Errorf("writing devices again: %w", err)
	}
	if out[0] == "lost" {
		return Restored{}, ErrLeaseLost
	}
	restored := Restored{Came: out[1] == "1", Cut: make(map[string]string)}
	for cut := range slices.Chunk(out[3:], 2) {
		restored.Cut[cut[0]] = cut[1]
	}
	restored.Record, err = Parse(out[2])
	return restored, err
}

// Lapse sets an account to OFFLINE whose row holds ONLINE and of which no node has a device, and
// returns it. It returns nil if there is a device. Nodes must have had time to write their devices
// since the data in Redis began, at born. It returns ErrDataLost if Redis has other data.
func (l *Ledger) Lapse(ctx context.Context, born int64, u status.Account, now models.Time) (*status.Record, error) {
	out, err := l.run(ctx, lapseScript, text(u.ID), text(u.AppID), u.ExternalID, text(int64(u.Since)), text(int64(now)), text(born))
	switch {
	case err != nil:
		return nil, fmt.Errorf("setting an account without devices to OFFLINE: %w", err)
	case out[0] == "lost":
		return nil, ErrDataLost
	case len(out) == 1:
		return nil, nil
	}
	return Parse(out[1])
}

// Version returns the latest version of all accounts.
func (l *Ledger) Version(ctx context.Context) (int64, error) {
	out, err := l.redis.Do(ctx, l.redis.B().Get().Key(l.redis.Key("seq")).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return 0, fmt.Errorf("reading the latest version: %w", err)
	}
	return number(out), nil
}

// readChunk is how many records one request reads.
const readChunk = 500

// Records returns the records of these users, in their order, with nil for a user that has none. of
// returns the user's ledger; client is the Redis of all of them.
func Records(ctx context.Context, client *redis.Client, userIDs []int64, of func(userID int64) *Ledger) ([]*status.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	out := make([]*status.Record, 0, len(userIDs))
	for chunk := range slices.Chunk(userIDs, readChunk) {
		reads := make(rueidis.Commands, len(chunk))
		for i, id := range chunk {
			reads[i] = client.B().Hmget().Key(of(id).userKey(id)).Field("p", "a", "c", "ca", "s", "app", "x", "k").Build()
		}
		for i, response := range client.DoMulti(ctx, reads...) {
			fields, err := response.AsStrSlice()
			if err != nil {
				return nil, fmt.Errorf("reading %d users' statuses from Redis: %w", len(userIDs), err)
			}
			if fields[0] == "" {
				out = append(out, nil)
				continue
			}
			out = append(out, &status.Record{
				ID: chunk[i], State: status.State{Presence: models.Presence(number(fields[0])), Since: models.Time(number(fields[1]))},
				Custom: fields[2], CustomSince: models.Time(number(fields[3])), Version: number(fields[4]),
				AppID: number(fields[5]), ExternalID: fields[6], Content: number(fields[7]),
			})
		}
	}
	return out, nil
}

// Changes returns accounts of the app that have changed since the version, in the order of their
// versions, and the version of the last one. It returns a last of 0 if there are no more.
func (l *Ledger) Changes(ctx context.Context, appID, since int64) (changed []*status.Record, last int64, err error) {
	out, err := l.run(ctx, changesScript, text(appID), text(since), text(readChunk))
	if err != nil {
		return nil, 0, fmt.Errorf("reading what has changed in an app: %w", err)
	}
	changed, err = parseAll(out[1:])
	return changed, number(out[0]), err
}

// Devices returns the account's devices, the first to connect first.
func (l *Ledger) Devices(ctx context.Context, userID int64) ([]models.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	fields, err := l.redis.Do(ctx, l.redis.B().Hgetall().Key(l.userKey(userID)).Build()).AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("reading devices from Redis: %w", err)
	}
	if models.Presence(number(fields["p"])) != models.PresenceOnline {
		return nil, nil
	}
	var devices []models.Device
	added := make(map[string]int64)
	for name, value := range fields {
		id, ok := strings.CutPrefix(name, "d:")
		if !ok {
			continue
		}
		d, when, err := parseDevice(id, value)
		if err != nil {
			return nil, err
		}
		added[id] = when
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b models.Device) int {
		return cmp.Or(cmp.Compare(a.ConnectedAt, b.ConnectedAt), cmp.Compare(added[a.ID], added[b.ID]), cmp.Compare(a.ID, b.ID))
	})
	return devices, nil
}

// OnlineCount returns how many users of the app are ONLINE in the ledgers together. client is the
// Redis of all of them.
func OnlineCount(ctx context.Context, client *redis.Client, ledgers []*Ledger, appID int64) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	reads := make(rueidis.Commands, len(ledgers))
	for i, l := range ledgers {
		reads[i] = client.B().Scard().Key(l.redis.Key("online:" + text(appID))).Build()
	}
	total := 0
	for _, response := range client.DoMulti(ctx, reads...) {
		n, err := response.AsInt64()
		if err != nil {
			return 0, fmt.Errorf("counting online users in Redis: %w", err)
		}
		total += int(n)
	}
	return total, nil
}

func (l *Ledger) userKey(userID int64) string { return l.redis.Key("user:" + text(userID)) }

// argsOf returns an account as arguments of the scripts.
func argsOf(a status.Account) []string {
	return []string{text(a.ID), text(a.AppID), a.ExternalID, text(int64(a.Presence)), text(int64(a.Since))}
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// number parses a number that one of the scripts has written. It returns 0 for a missing one.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
