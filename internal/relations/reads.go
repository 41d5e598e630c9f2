package relations

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/page"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// MaxBlockedIDs is the maximum number of IDs that BlockedIDs returns.
const MaxBlockedIDs = 500

// Block is an entry of the owner's blocklist with the user.
type Block struct {
	Owner, User *models.User
	CreatedAt   models.Time
}

// ID returns the node's ID.
func (b *Block) ID() string { return models.BlockNode.PairID(b.Owner.ExternalID, b.User.ExternalID) }

// WhitelistEntry is an entry of the owner's whitelist with the user.
type WhitelistEntry struct {
	Owner, User *models.User
	CreatedAt   models.Time
}

// ID returns the node's ID.
func (e *WhitelistEntry) ID() string {
	return models.WhitelistNode.PairID(e.Owner.ExternalID, e.User.ExternalID)
}

// Whitelist is a user's whitelist. Its entries are a list of their own.
type Whitelist struct {
	Owner   *models.User
	Enabled bool
}

// The pages of the lists, and their items with cursors.
type (
	FriendshipConnection     = page.Connection[*Friendship]
	FriendshipEdge           = page.Edge[*Friendship]
	FriendRequestConnection  = page.Connection[*FriendRequest]
	FriendRequestEdge        = page.Edge[*FriendRequest]
	BlockConnection          = page.Connection[*Block]
	BlockEdge                = page.Edge[*Block]
	WhitelistEntryConnection = page.Connection[*WhitelistEntry]
	WhitelistEntryEdge       = page.Edge[*WhitelistEntry]
)

// Friends returns a page of the owner's friends, newest or oldest first, by one query. The caller must have
// read owner within the same request, because its BlockCount decides whether blocks are looked up.
// Returns INVALID_ARGUMENT for a cursor of another list.
func (s *Service) Friends(ctx context.Context, owner *models.User, r page.Request) (*FriendshipConnection, error) {
	return s.friends[friendList{blocks: owner.BlockCount > 0, oldestFirst: r.OldestFirst}].read(ctx, owner, r, known(owner.FriendCount))
}

// friendLists are the pages of friends, each with statements of its own.
type friendLists map[friendList]*pages[*Friendship]

// friendList is a kind of pages of friends: whether they look up which friends the owner has blocked,
// or assume that there are none, and their order.
type friendList struct{ blocks, oldestFirst bool }

func newFriendLists(db *database.DB, secret opaque.Secret) friendLists {
	lists := make(friendLists, 4)
	for _, blocks := range []bool{false, true} {
		for _, oldestFirst := range []bool{false, true} {
			kind := friendList{blocks, oldestFirst}
			lists[kind] = friendPages(db, secret, kind)
		}
	}
	return lists
}

func friendPages(db *database.DB, secret opaque.Secret, kind friendList) *pages[*Friendship] {
	blocked, join := "FALSE", ""
	if kind.blocks {
		blocked = "b.user_id IS NOT NULL"
		join = " LEFT JOIN blocks b ON b.user_id = f.user_id AND b.blocked_id = f.friend_id"
	}
	return newPages(db, page.Order{List: "friends", Secret: secret, At: "f.created_at", ID: "f.friend_id", OldestFirst: kind.oldestFirst},
		"f.remark, f.created_at, "+blocked,
		db.InOrder("friendships f")+" "+db.Then()+" users ON users.id = f.friend_id"+join+" WHERE f.user_id = ?",
		func(owner *models.User) ([]any, *models.User, func() (*Friendship, page.Key)) {
			type friendship struct {
				friend models.User
				Friendship
			}
			var row friendship
			var rows slab[friendship]
			return []any{&row.Remark, &row.CreatedAt, &row.Blocked}, &row.friend, func() (*Friendship, page.Key) {
				one := rows.add(row)
				one.Owner, one.User = owner, &one.friend
				return &one.Friendship, page.Key{At: one.CreatedAt, ID: one.friend.ID}
			}
		})
}

// Friendship returns the owner's friendship with the user of that ID, or nil if they are not
// friends.
func (s *Service) Friendship(ctx context.Context, app *models.App, owner *models.User, with string) (*Friendship, error) {
	found, err := userlock.Find(s.db.Read(ctx), app, []string{with})
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	friend := found[with]
	if friend == nil {
		return nil, nil
	}
	return s.FriendshipBetween(ctx, owner, friend)
}

// Friendships returns the owner's friendships with the users of these IDs, in their order, by one query.
// Those with users that are not friends are nil.
func (s *Service) Friendships(ctx context.Context, app *models.App, owner *models.User, with []string) ([]*Friendship, error) {
	out := make([]*Friendship, len(with))
	ids := userlock.Possible(with)
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*struct {
		Friend  models.User `gorm:"embedded"`
		Remark  *string
		Since   models.Time
		Blocked bool
	}
	err := s.db.Read(ctx).Raw("SELECT "+userRow.Columns("users")+`, f.remark, f.created_at AS since, b.user_id IS NOT NULL AS blocked
		FROM `+s.db.Using("users", "users_app_external")+" "+s.db.Then()+` friendships f ON f.user_id = ? AND f.friend_id = users.id
		LEFT JOIN blocks b ON b.user_id = f.user_id AND b.blocked_id = f.friend_id
		WHERE users.app_id = ? AND users.external_id IN ?`, owner.ID, app.ID, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading friendships: %w", err)
	}
	found := make(map[string]*Friendship, len(rows))
	for _, row := range rows {
		found[row.Friend.ExternalID] = &Friendship{
			Owner: owner, User: &row.Friend, Remark: row.Remark, CreatedAt: row.Since, Blocked: row.Blocked,
		}
	}
	for i, id := range with {
		out[i] = found[id]
	}
	return out, nil
}

// RequestWith returns the pending friend request between the owner and the user of that ID, in either
// direction, or nil if there is none.
func (s *Service) RequestWith(ctx context.Context, app *models.App, owner *models.User, with string) (*FriendRequest, error) {
	found, err := userlock.Find(s.db.Read(ctx), app, []string{with})
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	other := found[with]
	if other == nil {
		return nil, nil
	}
	var row models.FriendRequest
	ok, err := take(s.db.Read(ctx).Where("(from_id = ? AND to_id = ? OR from_id = ? AND to_id = ?) AND expires_at > ?",
		owner.ID, other.ID, other.ID, owner.ID, s.now()), &row)
	if err != nil || !ok {
		return nil, fault.Wrap(err, "reading a friend request")
	}
	if row.FromID == owner.ID {
		return s.shown(&row, owner, other), nil
	}
	return s.shown(&row, other, owner), nil
}

// FriendIDs returns the IDs of all the owner's friends, newest first.
func (s *Service) FriendIDs(ctx context.Context, owner *models.User) ([]string, error) {
	return pluck(s.db.Read(ctx).Table("friendships f").Joins("JOIN users ON users.id = f.friend_id").
		Where("f.user_id = ?", owner.ID).Order("f.created_at DESC, f.friend_id DESC"))
}

// Requests returns a page of the pending friend requests to the owner, or of those from the owner,
// newest first.
func (s *Service) Requests(ctx context.Context, owner *models.User, incoming bool, r page.Request) (*FriendRequestConnection, error) {
	list, table, own := s.outgoing, "sent_friend_requests", "from_id"
	if incoming {
		list, table, own = s.incoming, "friend_requests", "to_id"
	}
	total := func(ctx context.Context) (int, error) {
		var n int64
		err := s.db.Read(ctx).Table(table).Where(own+" = ? AND expires_at > ?", owner.ID, s.now()).Count(&n).Error
		if err != nil {
			return 0, fmt.Errorf("counting friend requests: %w", err)
		}
		return int(n), nil
	}
	return list.read(ctx, owner, r, total, s.now())
}

func requestPages(db *database.DB, secret opaque.Secret, ids *opaque.Sealer, incoming bool) *pages[*FriendRequest] {
	own, other, list, rows := "from_id", "to_id", "outgoing", db.InOrder("sent_friend_requests q")
	if incoming {
		own, other, list, rows = other, own, "incoming", db.Using("friend_requests q", "friend_requests_incoming")
	}
	// The plus sign keeps SQLite from reading the pending requests by the index of their expiry and
	// sorting all of them for one page.
	from := rows + " " + db.Then() + " users ON users.id = q." + other +
		" WHERE q." + own + " = ? AND +q.expires_at > ?"
	return newPages(db, page.Order{List: list, Secret: secret, At: "q.created_at", ID: "q.id"},
		"q.id, q.message, q.created_at, q.expires_at", from,
		func(owner *models.User) ([]any, *models.User, func() (*FriendRequest, page.Key)) {
			var row struct {
				other models.User
				id    int64
				FriendRequest
			}
			return []any{&row.id, &row.Message, &row.CreatedAt, &row.ExpiresAt}, &row.other, func() (*FriendRequest, page.Key) {
				one := row
				one.ID = requestID(ids, one.id)
				one.From, one.To = owner, &one.other
				if incoming {
					one.From, one.To = one.To, one.From
				}
				return &one.FriendRequest, page.Key{At: one.CreatedAt, ID: one.id}
			}
		})
}

// Blocklist returns a page of the owner's blocklist, newest first.
func (s *Service) Blocklist(ctx context.Context, owner *models.User, r page.Request) (*BlockConnection, error) {
	return s.blocks.read(ctx, owner, r, known(owner.BlockCount))
}

func blockPages(db *database.DB, secret opaque.Secret) *pages[*Block] {
	return newPages(db, page.Order{List: "blocklist", Secret: secret, At: "b.created_at", ID: "b.blocked_id"}, "b.created_at",
		db.InOrder("blocks b")+" "+db.Then()+" users ON users.id = b.blocked_id WHERE b.user_id = ?",
		func(owner *models.User) ([]any, *models.User, func() (*Block, page.Key)) {
			var row entry
			return []any{&row.CreatedAt}, &row.User, func() (*Block, page.Key) {
				one := row
				return &Block{Owner: owner, User: &one.User, CreatedAt: one.CreatedAt}, page.Key{At: one.CreatedAt, ID: one.User.ID}
			}
		})
}

// BlockedIDs returns the IDs of the owner's latest MaxBlockedIDs blocks.
func (s *Service) BlockedIDs(ctx context.Context, owner *models.User) ([]string, error) {
	return pluck(s.db.Read(ctx).Table("blocks b").Joins("JOIN users ON users.id = b.blocked_id").
		Where("b.user_id = ?", owner.ID).Order("b.created_at DESC, b.blocked_id DESC").Limit(MaxBlockedIDs))
}

// HasBlocked reports whether the user of that ID is on the owner's blocklist.
func (s *Service) HasBlocked(ctx context.Context, app *models.App, owner *models.User, id string) (bool, error) {
	found, err := userlock.Find(s.db.Read(ctx), app, []string{id})
	if err != nil {
		return false, fmt.Errorf("reading users: %w", err)
	}
	if found[id] == nil {
		return false, nil
	}
	blocked, err := hasBlocked(s.db.Read(ctx), owner.ID, found[id].ID)
	if err != nil {
		return false, fmt.Errorf("reading blocklist: %w", err)
	}
	return blocked, nil
}

// Whitelist returns a page of the owner's whitelist, newest first.
func (s *Service) Whitelist(ctx context.Context, owner *models.User, r page.Request) (*WhitelistEntryConnection, error) {
	return s.allowed.read(ctx, owner, r, known(owner.WhitelistCount))
}

func whitelistPages(db *database.DB, secret opaque.Secret) *pages[*WhitelistEntry] {
	return newPages(db, page.Order{List: "whitelist", Secret: secret, At: "w.created_at", ID: "w.allowed_id"}, "w.created_at",
		db.InOrder("whitelist_entries w")+" "+db.Then()+" users ON users.id = w.allowed_id WHERE w.user_id = ?",
		func(owner *models.User) ([]any, *models.User, func() (*WhitelistEntry, page.Key)) {
			var row entry
			return []any{&row.CreatedAt}, &row.User, func() (*WhitelistEntry, page.Key) {
				one := row
				return &WhitelistEntry{Owner: owner, User: &one.User, CreatedAt: one.CreatedAt}, page.Key{At: one.CreatedAt, ID: one.User.ID}
			}
		})
}

// entry is a row of a list of users.
type entry struct {
	User      models.User
	CreatedAt models.Time
}

// known returns a total that is in the owner's row.
func known(n int) page.Total {
	return func(context.Context) (int, error) { return n, nil }
}

func pluck(query *gorm.DB) ([]string, error) {
	ids := []string{}
	if err := query.Pluck("users.external_id", &ids).Error; err != nil {
		return nil, fmt.Errorf("listing IDs: %w", err)
	}
	return ids, nil
}
