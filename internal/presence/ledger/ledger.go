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

// script is a step with what all steps share.
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

// ErrLeaseLost is the answer for a node that holds no lease (any more): it must
// enter anew, under another name.
var ErrLeaseLost = errors.New("the node holds no lease in Redis")

// ErrDataLost is the answer for a step that relies on what Redis does not have any
// more.
var ErrDataLost = errors.New("the data in Redis was lost")

// RevokedError asks the caller of Connect to look whether the user may connect
// once more, because a revocation may have come since it did.
type RevokedError struct {
	// Mark is for the next Connect.
	Mark int64
}

// Error says that the user's access was revoked.
func (e *RevokedError) Error() string { return "the user's access was revoked a moment ago" }

// LoginError asks the caller of Connect to have the database hold the login first.
type LoginError struct {
	// At is the login's moment, reserved for it.
	At models.Time
}

// Error says that the login is to be recorded.
func (e *LoginError) Error() string { return "the login is to be recorded first" }

// Ledger is the accounts of one service. All methods may be called from any
// goroutine; a failed one may have been carried out or not.
type Ledger struct{ redis *redis.Client }

// New answers the ledger in that Redis.
func New(client *redis.Client) *Ledger { return &Ledger{client} }

// UserChannel carries the user's records, as Parse reads them.
func (l *Ledger) UserChannel(userID int64) string { return l.redis.Key("user:" + text(userID)) }

// AppChannel carries the records of all users of the app.
func (l *Ledger) AppChannel(appID int64) string { return l.redis.Key("app:" + text(appID)) }

// CutChannel carries what ParseCut reads, for all nodes.
func (l *Ledger) CutChannel() string { return l.redis.Key("cut") }

// run carries out a script in one bounded step, which the caller's end does not
// leave half known.
func (l *Ledger) run(ctx context.Context, s *rueidis.Lua, args ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redis.OperationTimeout)
	defer cancel()
	return s.Exec(ctx, l.redis.Client, []string{l.redis.Key("")}, args).AsStrSlice()
}

// Renewal is a node that renews its lease.
type Renewal struct {
	Node   string
	Length time.Duration
	// Enter begins the lease if the node has none.
	Enter bool
	// Others are former names of the node whose leases are prolonged, if they have any.
	Others []string
	// End is the end of the lease that the last renewal returned; 0: there was none.
	// Version is the latest version that the node has seen. If Redis has less than either, its
	// data turned back.
	End, Version int64
	// Reconnected reports whether the connection was lost since the last renewal. It matters only
	// if Redis refuses to tell which server it is.
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
	// Born is when this data began, in µs of Redis's clock. A value other than the one before
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
	out, err := l.run(ctx, renewScript, args...)
	if err != nil {
		return Lease{}, fmt.Errorf("renewing the node's lease: %w", err)
	}
	return Lease{
		Held: out[0] == "1", End: number(out[1]), Version: number(out[2]), Born: number(out[3]), Dead: out[4:],
	}, nil
}

// Retire ends a node's lease. Its devices are then to be swept.
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

// Sweep takes the devices of a dead node away from these accounts. A row that holds a presence
// other than ONLINE, newer than what Redis has, is what the account turns to. It returns the
// accounts that have turned by it, and whether the node has further accounts.
func (l *Ledger) Sweep(ctx context.Context, node string, rows []status.Account, now models.Time) (turned []*status.Record, more bool, err error) {
	args := []string{node, text(int64(now))}
	for _, u := range rows {
		args = append(args, text(u.ID), text(int64(u.Presence)), text(int64(u.Since)))
	}
	out, err := l.run(ctx, sweepScript, args...)
	if err != nil {
		return nil, false, fmt.Errorf("sweeping a dead node: %w", err)
	}
	turned, err = parseAll(out[1:])
	return turned, out[0] == "1", err
}

// Login is a device that connects.
type Login struct {
	Node   string
	User   status.Account
	Device models.Device
	Now    models.Time
	// Mark is the revocation behind which the caller has looked; 0: behind none.
	Mark int64
	// Recorded is the moment of a LoginError that the database holds; 0: none.
	Recorded models.Time
	// Limit is how many devices the account may have with this one. The oldest beyond it are taken
	// out, and all nodes receive Reason for cutting their links. 0: any number.
	Limit  int
	Reason string
}

// Connected is a device that was added.
type Connected struct {
	Record *status.Record
	// Came reports whether the user has come ONLINE by it.
	Came bool
	// Added is the version with which the device was added.
	Added int64
	// Surplus are the devices that were taken out because of the limit.
	Surplus []string
}

// Connect adds a device. Errors: ErrLeaseLost, *RevokedError and *LoginError, upon which the
// device was not added.
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
	// Devices are the IDs of those that leave; All: whichever there are.
	Devices []string
	All     bool
	// To is the presence after the last one.
	To  models.Presence
	Now models.Time
	// Revoke: the user may not connect before who lets it has looked again.
	Revoke bool
	// Deleted reports whether the user has been deleted, so that Redis soon forgets its external ID.
	Deleted bool
	// Reason is a word that all nodes are told, with the devices, for cutting their
	// links; empty: they are not told.
	Reason string
}

// Leave takes devices out. turned: the status has changed by it; gone are those
// that were there.
func (l *Ledger) Leave(ctx context.Context, in Departure) (record *status.Record, turned bool, gone []string, err error) {
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

// SetStatus gives an ONLINE account a custom status; nil: it is not ONLINE.
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
	// Came reports whether the user has come ONLINE by it.
	Came bool
	// Cut are the devices that were not written, by their IDs, because they were disconnected,
	// each with the reason that Leave was given.
	Cut map[string]string
}

// Restore writes a node's devices of an account again, after Redis may have lost them or other
// nodes may have swept them. known is what the node heard last of the account, with the custom
// status that the account had when it was last ONLINE. Errors: ErrLeaseLost.
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

// Lapse turns an account whose row holds ONLINE, and of which no node has a device,
// to OFFLINE, and answers it; nil: there is a device. Nodes must have had time to
// write their devices since the database was born; ErrDataLost: it is another one.
func (l *Ledger) Lapse(ctx context.Context, born int64, u status.Account, now models.Time) (*status.Record, error) {
	out, err := l.run(ctx, lapseScript, text(u.ID), text(u.AppID), u.ExternalID, text(int64(u.Since)), text(int64(now)), text(born))
	switch {
	case err != nil:
		return nil, fmt.Errorf("turning an account without devices OFFLINE: %w", err)
	case out[0] == "lost":
		return nil, ErrDataLost
	case len(out) == 1:
		return nil, nil
	}
	return Parse(out[1])
}

// Version answers the latest version of all.
func (l *Ledger) Version(ctx context.Context) (int64, error) {
	out, err := l.redis.Do(ctx, l.redis.B().Get().Key(l.redis.Key("seq")).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return 0, fmt.Errorf("reading the latest version: %w", err)
	}
	return number(out), nil
}

// readChunk is how many records are asked for at once.
const readChunk = 500

// Records answers the records of these users, nil where there is none.
func (l *Ledger) Records(ctx context.Context, userIDs []int64) ([]*status.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	out := make([]*status.Record, 0, len(userIDs))
	for chunk := range slices.Chunk(userIDs, readChunk) {
		asked := make(rueidis.Commands, len(chunk))
		for i, id := range chunk {
			asked[i] = l.redis.B().Hmget().Key(l.userKey(id)).Field("p", "a", "c", "ca", "s", "app", "x", "k").Build()
		}
		for i, answer := range l.redis.DoMulti(ctx, asked...) {
			fields, err := answer.AsStrSlice()
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

// Changes answers accounts of the app that have changed since the version, in the
// order of their versions, and the version of the last; none: there are no more.
func (l *Ledger) Changes(ctx context.Context, appID, since int64) (changed []*status.Record, last int64, err error) {
	out, err := l.run(ctx, changesScript, text(appID), text(since), text(readChunk))
	if err != nil {
		return nil, 0, fmt.Errorf("reading what has changed in an app: %w", err)
	}
	changed, err = parseAll(out[1:])
	return changed, number(out[0]), err
}

// Devices answers the account's devices, the first to connect first.
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

// OnlineCount answers how many users of the app are ONLINE.
func (l *Ledger) OnlineCount(ctx context.Context, appID int64) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	n, err := l.redis.Do(ctx, l.redis.B().Scard().Key(l.redis.Key("online:"+text(appID))).Build()).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("counting who is online in Redis: %w", err)
	}
	return int(n), nil
}

func (l *Ledger) userKey(userID int64) string { return l.redis.Key("user:" + text(userID)) }

// argsOf returns an account as the scripts read it.
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

// number reads what a script of ours has written; what is missing is 0.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
