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
	"rollcall/models"
)

const (
	// addsTogether is how many friendships begin in one transaction at most.
	addsTogether = 16
	// addsAlone is how many begin in transactions of their own before they share.
	addsAlone = 4
)

// adding makes friends of two who may simply become friends, which is nearly always
// so. Those that come while a transaction is under way share the next one, as reads
// share a query: a commit and three statements are most of what a friendship costs.
type adding struct {
	db    *database.DB
	now   func() models.Time
	queue *database.Coalescer[*addition, *added]
	// read and count are by how many pairs there are, filled up to a power of two.
	read  []*database.Query
	count []*database.Command
	// insert is by how many pairs there are.
	insert []*database.Command
}

// addition is a friendship that is to begin. Who wants it has the turns of both
// users, so no two that are under way have a user in common.
type addition struct {
	limit         int // of friends
	owner, friend int64
	remark        *string
	held          *heldTurns
}

// added is what came of an addition: a friendship and its events, or an error.
type added struct {
	friendship *Friendship
	notes      *notes
	err        error
}

// party is one of two users who are to become friends, with what it has about the
// other.
type party struct {
	user            models.User
	blocks, friends bool
	request         int64
	expires         models.Time
}

func newAdding(db *database.DB, now func() models.Time) *adding {
	a := &adding{db: db, now: now}
	a.queue = database.NewCoalescer(addsTogether, a.together).Alone(addsAlone)
	for n := 1; n <= addsTogether; n++ {
		a.insert = append(a.insert, db.NewCommand("INSERT INTO friendships (user_id, created_at, friend_id, remark) VALUES "+
			repeat("(?, ?, ?, ?), (?, ?, ?, NULL)", ", ", n)))
	}
	for n := 1; n <= addsTogether; n *= 2 {
		a.count = append(a.count, db.NewCommand(
			"UPDATE users SET friend_count = friend_count + 1 WHERE id IN ("+repeat("?, ?", ", ", n)+")"))
		a.read = append(a.read, db.NewQuery("SELECT "+userRow.Columns("users")+`,
				b.user_id IS NOT NULL, f.user_id IS NOT NULL, COALESCE(r.id, 0), COALESCE(r.expires_at, 0)
			FROM (SELECT ? AS one, ? AS other UNION ALL `+repeat("SELECT ?, ?", " UNION ALL ", 2*n-1)+`) q
			`+db.Then()+` users ON users.id = q.one
			LEFT JOIN blocks b ON b.user_id = q.one AND b.blocked_id = q.other
			LEFT JOIN friendships f ON f.user_id = q.one AND f.friend_id = q.other
			LEFT JOIN friend_requests r ON r.from_id = q.one AND r.to_id = q.other`+db.LockingUnlocked()))
	}
	return a
}

// repeat answers text n times.
func repeat(text, between string, n int) string {
	return strings.Repeat(text+between, n-1) + text
}

// filled is where statements for n pairs are that are by powers of two.
func filled(n int) int { return bits.Len(uint(n - 1)) }

// add makes friends of two who are active, none yet, and have room for each other.
// nil: one of this is not so, or another transaction is changing one of them, and
// nothing has been changed.
func (a *adding) add(ctx context.Context, wanted *addition) (*added, error) {
	if wanted.owner == 0 || wanted.friend == 0 {
		return nil, nil
	}
	// It keeps the turns to the end: the next ones' events come after these.
	out, _, err := a.queue.Get(context.WithoutCancel(ctx), wanted)
	if err == nil && out != nil {
		err = out.err
	}
	return out, err
}

// together begins the friendships that may simply begin and answers what came of
// them; the others are missing.
func (a *adding) together(ctx context.Context, wanted []*addition) (map[*addition]*added, error) {
	out, err := a.begin(ctx, wanted)
	n := len(wanted)
	switch {
	case errors.Is(err, database.ErrLocked) && n > 1:
		// Whoever it is that others change now, most are not concerned.
		out, _ = a.together(ctx, wanted[:n/2])
		rest, _ := a.together(ctx, wanted[n/2:])
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

// begin is together in one transaction, in which all friendships begin or none.
// Errors: database.ErrLocked, where another transaction is changing one of them.
func (a *adding) begin(ctx context.Context, wanted []*addition) (map[*addition]*added, error) {
	n := len(wanted)
	if err := database.Prepare(a.read[filled(n)], a.count[filled(n)], a.insert[n-1]); err != nil {
		return nil, err
	}
	var out map[*addition]*added
	err := a.db.Tx(ctx, func(tx *gorm.DB) error {
		out = make(map[*addition]*added, n)
		parties, err := a.lock(tx, wanted)
		if err != nil {
			return err
		}
		var plain []*addition
		for _, w := range wanted {
			if w.plain(parties[w.owner], parties[w.friend]) {
				plain = append(plain, w)
			}
		}
		if len(plain) == 0 {
			return nil
		}
		at := a.now()
		for _, w := range plain {
			out[w] = w.begin(at, parties[w.owner], parties[w.friend])
		}
		return a.write(tx, plain, parties, out)
	})
	return out, err
}

// lock locks the users, in the order of their keys, and answers those who exist. It
// does not wait for who is locked by somebody else: that is no reason for all others
// to wait, too.
func (a *adding) lock(tx *gorm.DB, wanted []*addition) (map[int64]*party, error) {
	other := make(map[int64]int64, 2*len(wanted))
	for _, w := range wanted {
		other[w.owner], other[w.friend] = w.friend, w.owner
	}
	var args []any
	for _, id := range slices.Sorted(maps.Keys(other)) {
		args = append(args, id, other[id])
	}
	found := make(map[int64]*party, len(other))
	var row party
	targets := append(userRow.Targets(&row.user), &row.blocks, &row.friends, &row.request, &row.expires)
	err := a.read[filled(len(wanted))].EachIn(tx, fill(args, 4), targets, func() {
		one := row
		found[one.user.ID] = &one
	})
	return found, err
}

// fill repeats the last of the arguments, each of which has this width, until their
// number is a power of two.
func fill(args []any, width int) []any {
	last := args[len(args)-width:]
	for range 1<<filled(len(args)/width) - len(args)/width {
		args = append(args, last...)
	}
	return args
}

// plain says whether nothing stands against the friendship, and nothing has to be
// done but to begin it.
func (w *addition) plain(owner, friend *party) bool {
	ready := func(p *party) bool {
		return p != nil && p.user.DeactivatedAt == nil && p.user.FriendCount < w.limit && !p.friends
	}
	return ready(owner) && ready(friend)
}

// begin notes the friendship of two who are locked. Requests between them count as
// accepted.
func (w *addition) begin(at models.Time, owner, friend *party) *added {
	n := &notes{at: at, turns: w.held}
	pairs := [][2]*party{{owner, friend}, {friend, owner}}
	for _, pair := range pairs {
		if pair[0].expires > at {
			n.tell(&pair[0].user, FriendRequestAccepted, &pair[1].user)
		}
	}
	for _, pair := range pairs {
		pair[0].user.FriendCount++
		n.tell(&pair[0].user, FriendAdded, &pair[1].user)
	}
	return &added{notes: n, friendship: &Friendship{
		User: &friend.user, Remark: nonEmpty(w.remark), CreatedAt: w.held.moments(at, 1), Blocked: owner.blocks,
	}}
}

// write makes the rows of friendships that have begun, counts them, and deletes the
// requests that they end.
func (a *adding) write(tx *gorm.DB, plain []*addition, parties map[int64]*party, out map[*addition]*added) error {
	var keys, rows []any
	var requests []int64
	for _, w := range plain {
		f := out[w].friendship
		keys = append(keys, w.owner, w.friend)
		rows = append(rows, w.owner, f.CreatedAt, w.friend, f.Remark, w.friend, f.CreatedAt, w.owner)
		for _, key := range []int64{w.owner, w.friend} {
			if request := parties[key].request; request != 0 {
				requests = append(requests, request)
			}
		}
	}
	if len(requests) > 0 {
		if err := tx.Delete(&models.FriendRequest{}, requests).Error; err != nil {
			return err
		}
	}
	if _, err := a.count[filled(len(plain))].Run(tx, fill(keys, 2)...); err != nil {
		return err
	}
	_, err := a.insert[len(plain)-1].Run(tx, rows...)
	return err
}
