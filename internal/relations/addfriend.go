package relations

import (
	"context"
	"errors"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

const (
	// addBatch is the maximum number of additions in one transaction.
	addBatch = 16
	// addTransactions is how many transactions of additions run concurrently before further
	// additions share one.
	addTransactions = 4
)

// adder makes users friends. Additions that arrive while others run share the next transaction, as
// reads share a query: a commit and three statements are most of the cost of a friendship.
type adder struct {
	db         *database.DB
	now        func() models.Time
	requestIDs *opaque.Sealer
	outbox     *outbox.Outbox
	queue      *database.Coalescer[*addition, *added]
	// lockAndRead and count are indexed by the number of pairs, rounded up to a power of two; see
	// statementFor.
	lockAndRead []*database.Query
	count       []*database.Command
	// insert is indexed by the number of pairs minus one.
	insert []*database.Command
	// read is lockAndRead for one pair of users that the transaction has locked.
	read *database.Query
}

// addition is a request to make two users friends. Its caller holds the locks of both, so no two
// concurrent additions have a user in common.
type addition struct {
	appID             int64
	limit             int    // of friends
	ownerID, friendID string // external IDs
	owner, friend     int64  // users.id; 0 if there is no such user
	remark            *string
	held              *heldUsers
	requestIDs        *opaque.Sealer // set by the adder
}

// added is the result of an addition: the friendship and its events, or an error.
type added struct {
	friendship *Friendship
	notes      *notes
	err        error
	// begins means that the rows of the friendship must be written, and remarked that only the
	// owner's remark must.
	begins, remarked bool
	// ends means that there are requests between the two, which end.
	ends bool
}

// party is one of the two users of an addition, with what the database holds about the other.
type party struct {
	user            models.User
	blocks, friends bool
	// since and remark are of the friendship, if friends.
	since  models.Time
	remark *string
	// request is the friend_requests.id of the request to the other user, or 0.
	request int64
	// message and asked are of the request, and expires is when it does.
	message        *string
	asked, expires models.Time
}

func newAdder(db *database.DB, now func() models.Time, requestIDs *opaque.Sealer) *adder {
	a := &adder{db: db, now: now, requestIDs: requestIDs}
	a.queue = database.NewCoalescer(addBatch, a.addAll).Alone(addTransactions)
	for n := 1; n <= addBatch; n++ {
		a.insert = append(a.insert, db.NewCommand("INSERT INTO friendships (user_id, created_at, friend_id, remark) VALUES "+
			repeat("(?, ?, ?, ?), (?, ?, ?, NULL)", ", ", n)))
	}
	for n := 1; n <= addBatch; n *= 2 {
		a.count = append(a.count, db.NewCommand(
			"UPDATE users SET friend_count = friend_count + 1 WHERE id IN ("+repeat("?, ?", ", ", n)+")"))
		a.lockAndRead = append(a.lockAndRead, db.NewQuery(selectParties(db, n)+db.LockingUnlocked()))
	}
	a.read = db.NewQuery(selectParties(db, 1))
	return a
}

// selectParties returns the SELECT of the parties of n additions, which partyArgs returns the arguments
// of. Every row that it joins belongs to the party: the request is the one that it has received from the
// other user. So a database that is sharded by users reads the shards of the parties only.
func selectParties(db *database.DB, n int) string {
	other := "CASE users.id " + repeat("WHEN ? THEN ?", " ", 2*n) + " END"
	return "SELECT " + userRow.Columns("users") + `,
			b.user_id IS NOT NULL, f.user_id IS NOT NULL, COALESCE(f.created_at, 0), f.remark,
			COALESCE(r.id, 0), r.message, COALESCE(r.created_at, 0), COALESCE(r.expires_at, 0)
		FROM ` + db.InOrder("users") + `
		LEFT JOIN blocks b ON b.user_id = users.id AND b.blocked_id = ` + other + `
		LEFT JOIN friendships f ON f.user_id = users.id AND f.friend_id = ` + other + `
		LEFT JOIN friend_requests r ON r.to_id = users.id AND r.from_id = ` + other + `
		WHERE users.id IN (` + repeat("?", ", ", 2*n) + ")"
}

// partyArgs returns the arguments of selectParties for pairs of users.id, each the party and the other
// user.
func partyArgs(pairs [][2]int64) []any {
	args := make([]any, 0, 7*len(pairs))
	for range 3 {
		for _, p := range pairs {
			args = append(args, p[0], p[1])
		}
	}
	for _, p := range pairs {
		args = append(args, p[0])
	}
	return args
}

// targets returns what a row of selectParties is scanned into.
func (p *party) targets() []any {
	return append(userRow.Targets(&p.user), &p.blocks, &p.friends, &p.since, &p.remark, &p.request, &p.message, &p.asked, &p.expires)
}

// row returns the user, or nil if it does not exist.
func (p *party) row() *models.User {
	if p == nil {
		return nil
	}
	return &p.user
}

// repeat returns n copies of text with between in between.
func repeat(text, between string, n int) string {
	return strings.Repeat(text+between, n-1) + text
}

// statementFor returns the index of the statement for n pairs among those that exist for each power
// of two.
func statementFor(n int) int { return bits.Len(uint(n - 1)) }

// add carries out an addition, in a transaction that it may share with others. Returns nil without
// having changed anything if another transaction has locked one of the users.
func (a *adder) add(ctx context.Context, wanted *addition) (*added, error) {
	// The caller must hold its locks until the transaction ends, so it does not stop waiting:
	// the events of the next change of these users come after the events of this one.
	out, _, err := a.queue.Get(context.WithoutCancel(ctx), wanted)
	if err == nil && out != nil {
		err = out.err
	}
	return out, err
}

// addAll carries out additions and returns their results, without those whose users another
// transaction has locked.
func (a *adder) addAll(ctx context.Context, wanted []*addition) (map[*addition]*added, error) {
	out, err := a.addTogether(ctx, wanted)
	n := len(wanted)
	switch {
	case errors.Is(err, database.ErrLocked) && n > 1:
		// Most of the users are not locked: find those that are.
		out, _ = a.addAll(ctx, wanted[:n/2])
		rest, _ := a.addAll(ctx, wanted[n/2:])
		maps.Copy(out, rest)
	case errors.Is(err, database.ErrLocked):
		return map[*addition]*added{}, nil
	case err != nil:
		out = make(map[*addition]*added, n)
		for _, w := range wanted {
			out[w] = &added{err: err}
		}
	}
	return out, nil
}

// addTogether carries out additions in one transaction: all of them or, if it returns an error,
// none. It does not wait for locks, because one locked user is no reason for all others to wait.
// Returns database.ErrLocked if another transaction has locked one of the users.
func (a *adder) addTogether(ctx context.Context, wanted []*addition) (map[*addition]*added, error) {
	n := len(wanted)
	lockAndRead := a.lockAndRead[statementFor(n)]
	if err := database.Prepare(lockAndRead, a.count[statementFor(n)], a.insert[n-1]); err != nil {
		return nil, err
	}
	var out map[*addition]*added
	err := a.db.Tx(ctx, func(tx *gorm.DB) error {
		out = make(map[*addition]*added, n)
		parties, err := readParties(tx, lockAndRead, wanted)
		if err != nil {
			return err
		}
		at := a.now()
		for _, w := range wanted {
			w.requestIDs = a.requestIDs
			out[w] = w.decide(&notes{at: at, held: w.held}, parties[w.owner], parties[w.friend])
		}
		if err := a.write(tx, wanted, out); err != nil {
			return err
		}
		return a.record(tx, wanted, out)
	})
	return out, err
}

// record records the events of additions in tx, those of an app together.
func (a *adder) record(tx *gorm.DB, wanted []*addition, results map[*addition]*added) error {
	byApp := make(map[int64][]*notes)
	for _, w := range wanted {
		if out := results[w]; out.err == nil && len(out.notes.list) > 0 {
			byApp[w.appID] = append(byApp[w.appID], out.notes)
		}
	}
	for appID, some := range byApp {
		if err := record(tx, a.outbox, appID, some...); err != nil {
			return err
		}
	}
	return nil
}

// addLocked carries out an addition in a transaction that has locked both users, and notes its
// events in n. Returns the refusals of decide.
func (a *adder) addLocked(tx *gorm.DB, wanted *addition, n *notes) (*added, error) {
	parties, err := readParties(tx, a.read, []*addition{wanted})
	if err != nil {
		return nil, err
	}
	wanted.requestIDs = a.requestIDs
	out := wanted.decide(n, parties[wanted.owner], parties[wanted.friend])
	if out.err != nil {
		return nil, out.err
	}
	return out, a.write(tx, []*addition{wanted}, map[*addition]*added{wanted: out})
}

// readParties returns the parties of the additions by users.id, without users that do not exist.
// It reads, and lets the query lock, in the order of users.id, as all transactions do.
func readParties(tx *gorm.DB, query *database.Query, wanted []*addition) (map[int64]*party, error) {
	other := make(map[int64]int64, 2*len(wanted))
	for _, w := range wanted {
		other[w.owner], other[w.friend] = w.friend, w.owner
	}
	keys := slices.Sorted(maps.Keys(other))
	for len(keys) < 2*len(wanted) {
		keys = slices.Insert(keys, 0, 0) // several additions have users that do not exist
	}
	pairs := make([][2]int64, 2<<statementFor(len(wanted)))
	for i := range pairs {
		key := keys[min(i, len(keys)-1)] // the last one fills up the statement
		pairs[i] = [2]int64{key, other[key]}
	}
	found := make(map[int64]*party, len(other))
	var row party
	err := query.EachIn(tx, partyArgs(pairs), row.targets(), func() {
		one := row
		found[one.user.ID] = &one
	})
	for _, w := range wanted {
		exchangeRequests(found[w.owner], found[w.friend])
	}
	return found, err
}

// exchangeRequests gives each of two parties, nil if it does not exist, the request that the other has
// received.
func exchangeRequests(a, b *party) {
	var none party
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	a.request, b.request = b.request, a.request
	a.message, b.message = b.message, a.message
	a.asked, b.asked = b.asked, a.asked
	a.expires, b.expires = b.expires, a.expires
}

// fill repeats the last of the arguments, which come in groups of width, until the number of groups
// is a power of two.
func fill(args []any, width int) []any {
	last := args[len(args)-width:]
	for range 1<<statementFor(len(args)/width) - len(args)/width {
		args = append(args, last...)
	}
	return args
}

// decide is the rule of AddFriend, for two users that are locked, or nil if they do not exist: it
// returns a refusal, or what must be written. A new friendship accepts the requests between the
// two. Between friends, only a given remark changes. Events are noted in n.
func (w *addition) decide(n *notes, owner, friend *party) *added {
	if err := w.refusal(owner, friend); err != nil {
		return &added{err: err}
	}
	f := &Friendship{Owner: &owner.user, User: &friend.user, Remark: owner.remark, CreatedAt: owner.since, Blocked: owner.blocks}
	out := &added{friendship: f, notes: n}
	if owner.friends {
		if w.remark != nil && text(owner.remark) != *w.remark {
			out.remarked = true
			f.Remark = nonEmpty(w.remark)
			n.tellFriendship(FriendRemarkChanged, f)
		}
		return out
	}
	out.begins = true
	pairs := [][2]*party{{owner, friend}, {friend, owner}}
	for _, pair := range pairs {
		out.ends = out.ends || pair[0].request != 0
		if pair[0].expires > n.at {
			n.tellRequest(&pair[0].user, FriendRequestAccepted, &FriendRequest{
				ID: requestID(w.requestIDs, pair[0].request), From: &pair[0].user, To: &pair[1].user,
				Message: pair[0].message, CreatedAt: pair[0].asked, ExpiresAt: pair[0].expires,
			})
		}
	}
	f.Remark, f.CreatedAt = nonEmpty(w.remark), n.held.moments(n.at, 1)
	owner.user.FriendCount++
	friend.user.FriendCount++
	n.tellFriendship(FriendAdded, f)
	n.tellFriendship(FriendAdded, &Friendship{Owner: &friend.user, User: &owner.user, CreatedAt: f.CreatedAt, Blocked: friend.blocks})
	return out
}

// refusal returns USER_NOT_FOUND or USER_DEACTIVATED if one of the users cannot have friends, and
// FRIEND_LIMIT_REACHED if they are not friends and one of them has no room for another.
func (w *addition) refusal(owner, friend *party) error {
	if err := userlock.CheckActive(w.ownerID, owner.row()); err != nil {
		return err
	}
	if err := userlock.CheckActive(w.friendID, friend.row()); err != nil {
		return err
	}
	if owner.friends {
		return nil
	}
	if err := friendRoom(w.limit, &owner.user); err != nil {
		return err
	}
	return friendRoom(w.limit, &friend.user)
}

// friendRoom returns FRIEND_LIMIT_REACHED with `limit` and `userId` if the user, which is locked,
// has the maximum of friends.
func friendRoom(limit int, u *models.User) error {
	if u.FriendCount >= limit {
		return fault.New(fault.FriendLimitReached, "the user %q already has the maximum of %d friends", u.ExternalID, limit).
			With("limit", limit).With("userId", u.ExternalID)
	}
	return nil
}

// write writes the results of additions: new friendships with their counts, changed remarks, and
// the end of requests.
func (a *adder) write(tx *gorm.DB, wanted []*addition, results map[*addition]*added) error {
	var keys, rows []any
	var requests []requestPair
	for _, w := range wanted {
		out := results[w]
		switch {
		case out.begins:
			f := out.friendship
			keys = append(keys, w.owner, w.friend)
			rows = append(rows, w.owner, f.CreatedAt, w.friend, f.Remark, w.friend, f.CreatedAt, w.owner)
			if out.ends {
				requests = append(requests, requestPair{w.owner, w.friend}, requestPair{w.friend, w.owner})
			}
		case out.remarked:
			if err := writeRemark(tx, w.owner, w.friend, out.friendship.Remark); err != nil {
				return err
			}
		}
	}
	n := len(keys) / 2
	if n == 0 {
		return nil
	}
	if len(requests) > 0 {
		if err := deleteRequests(tx, a.db, requests...); err != nil {
			return err
		}
	}
	if _, err := a.count[statementFor(n)].Run(tx, fill(keys, 2)...); err != nil {
		return err
	}
	_, err := a.insert[n-1].Run(tx, rows...)
	return err
}
