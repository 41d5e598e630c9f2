package relations

import (
	"context"
	"fmt"
	"strconv"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// MaxBlockedIDs is how many IDs BlockedIDs answers.
const MaxBlockedIDs = 500

// Block is an entry of a blocklist with the user.
type Block struct {
	User      *models.User
	CreatedAt models.Time
}

// WhitelistEntry is an entry of a whitelist with the user.
type WhitelistEntry struct {
	User      *models.User
	CreatedAt models.Time
}

// Whitelist is a user's whitelist; its entries are a list of their own.
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

// userColumns are the other user's columns as GORM fills an embedded model.
var userColumns = database.Columns("users", "u_", models.User{})

// Friends answers a page of the owner's friends, the newest first, in one query.
// Errors: INVALID_ARGUMENT for a cursor that is none of this list.
func (s *Service) Friends(ctx context.Context, owner *models.User, r page.Request) (*FriendshipConnection, error) {
	type row struct {
		User      models.User `gorm:"embedded;embeddedPrefix:u_"`
		Remark    *string
		CreatedAt models.Time
		Blocked   bool
	}
	query := s.db.Read(ctx).Table("friendships f").
		Select(userColumns+`, f.remark, f.created_at,
			EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = f.user_id AND b.blocked_id = f.friend_id) AS blocked`).
		Joins("JOIN users ON users.id = f.friend_id").Where("f.user_id = ?", owner.ID)
	order := page.Order{List: "friends", Owner: owner.ID, At: "f.created_at", ID: "f.friend_id"}
	return read(query, order, r, known(owner.FriendCount), func(r *row) (*Friendship, page.Key) {
		f := &Friendship{User: &r.User, Remark: r.Remark, CreatedAt: r.CreatedAt, Blocked: r.Blocked}
		return f, page.Key{At: r.CreatedAt, ID: r.User.ID}
	})
}

// Friendship answers the owner's friendship with the user of that ID, nil where
// they are no friends.
func (s *Service) Friendship(ctx context.Context, app *models.App, owner *models.User, with string) (*Friendship, error) {
	found, err := s.find(s.db.Read(ctx), app, []string{with})
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	friend := found[with]
	if friend == nil {
		return nil, nil
	}
	row, err := friendship(s.db.Read(ctx), owner, friend)
	if err != nil {
		return nil, fmt.Errorf("reading friendship: %w", err)
	}
	if row == nil {
		return nil, nil
	}
	out, err := view(s.db.Read(ctx), owner, friend, row)
	if err != nil {
		return nil, fmt.Errorf("reading friendship: %w", err)
	}
	return out, nil
}

// FriendIDs answers the IDs of all the owner's friends, the newest first.
func (s *Service) FriendIDs(ctx context.Context, owner *models.User) ([]string, error) {
	return pluck(s.db.Read(ctx).Table("friendships f").Joins("JOIN users ON users.id = f.friend_id").
		Where("f.user_id = ?", owner.ID).Order("f.created_at DESC, f.friend_id DESC"))
}

// Requests answers a page of the friend requests to the owner that can be
// answered, or of those from the owner, the newest first.
func (s *Service) Requests(ctx context.Context, owner *models.User, incoming bool, r page.Request) (*FriendRequestConnection, error) {
	type row struct {
		User      models.User `gorm:"embedded;embeddedPrefix:u_"`
		ID        int64
		Message   *string
		CreatedAt models.Time
		ExpiresAt models.Time
	}
	own, other, list := "from_id", "to_id", "outgoing"
	if incoming {
		own, other, list = other, own, "incoming"
	}
	requests := func(ctx context.Context) *gorm.DB {
		return s.db.Read(ctx).Table("friend_requests q").Where("q."+own+" = ?", owner.ID)
	}
	// The plus keeps SQLite from finding the live ones by the index of their ends,
	// and sorting all of them for one page.
	query := requests(ctx).Select(userColumns+", q.id, q.message, q.created_at, q.expires_at").
		Joins("JOIN users ON users.id = q."+other).Where("+q.expires_at > ?", s.now())
	order := page.Order{List: list, Owner: owner.ID, At: "q.created_at", ID: "q.id"}
	total := func(ctx context.Context) (int, error) {
		var n int64
		if err := requests(ctx).Where("q.expires_at > ?", s.now()).Count(&n).Error; err != nil {
			return 0, fmt.Errorf("counting friend requests: %w", err)
		}
		return int(n), nil
	}
	return read(query, order, r, total, func(r *row) (*FriendRequest, page.Key) {
		request := &FriendRequest{
			ID: strconv.FormatInt(r.ID, 10), From: owner, To: &r.User,
			Message: r.Message, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		}
		if incoming {
			request.From, request.To = request.To, request.From
		}
		return request, page.Key{At: r.CreatedAt, ID: r.ID}
	})
}

// Blocklist answers a page of the owner's blocklist, the newest first.
func (s *Service) Blocklist(ctx context.Context, owner *models.User, r page.Request) (*BlockConnection, error) {
	query := s.db.Read(ctx).Table("blocks b").Select(userColumns+", b.created_at").
		Joins("JOIN users ON users.id = b.blocked_id").Where("b.user_id = ?", owner.ID)
	order := page.Order{List: "blocklist", Owner: owner.ID, At: "b.created_at", ID: "b.blocked_id"}
	return read(query, order, r, known(owner.BlockCount), func(r *entry) (*Block, page.Key) {
		return &Block{User: &r.User, CreatedAt: r.CreatedAt}, page.Key{At: r.CreatedAt, ID: r.User.ID}
	})
}

// BlockedIDs answers the IDs of the owner's latest MaxBlockedIDs blocks.
func (s *Service) BlockedIDs(ctx context.Context, owner *models.User) ([]string, error) {
	return pluck(s.db.Read(ctx).Table("blocks b").Joins("JOIN users ON users.id = b.blocked_id").
		Where("b.user_id = ?", owner.ID).Order("b.created_at DESC, b.blocked_id DESC").Limit(MaxBlockedIDs))
}

// HasBlocked says whether the owner has the user of that ID on its blocklist.
func (s *Service) HasBlocked(ctx context.Context, app *models.App, owner *models.User, id string) (bool, error) {
	found, err := s.find(s.db.Read(ctx), app, []string{id})
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

// Whitelist answers a page of the owner's whitelist, the newest first.
func (s *Service) Whitelist(ctx context.Context, owner *models.User, r page.Request) (*WhitelistEntryConnection, error) {
	query := s.db.Read(ctx).Table("whitelist_entries w").Select(userColumns+", w.created_at").
		Joins("JOIN users ON users.id = w.allowed_id").Where("w.user_id = ?", owner.ID)
	order := page.Order{List: "whitelist", Owner: owner.ID, At: "w.created_at", ID: "w.allowed_id"}
	return read(query, order, r, known(owner.WhitelistCount), func(r *entry) (*WhitelistEntry, page.Key) {
		return &WhitelistEntry{User: &r.User, CreatedAt: r.CreatedAt}, page.Key{At: r.CreatedAt, ID: r.User.ID}
	})
}

// entry is a row of a list of users.
type entry struct {
	User      models.User `gorm:"embedded;embeddedPrefix:u_"`
	CreatedAt models.Time
}

// known answers a total that the owner's row has.
func known(n int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return n, nil }
}

// read answers the page of a list; item makes an item of a row.
func read[R, T any](query *gorm.DB, order page.Order, r page.Request, total func(context.Context) (int, error),
	item func(*R) (T, page.Key)) (*page.Connection[T], error) {
	rows, err := order.Limit(query, r)
	if err != nil {
		return nil, err
	}
	var found []*R
	if err := rows.Find(&found).Error; err != nil {
		return nil, fmt.Errorf("listing %s: %w", order.List, err)
	}
	items := make([]T, 0, len(found))
	keys := make([]page.Key, 0, len(found))
	for _, row := range found {
		one, key := item(row)
		items, keys = append(items, one), append(keys, key)
	}
	return page.Of(order, r, items, keys, total), nil
}

func pluck(query *gorm.DB) ([]string, error) {
	ids := []string{}
	if err := query.Pluck("users.external_id", &ids).Error; err != nil {
		return nil, fmt.Errorf("listing IDs: %w", err)
	}
	return ids, nil
}
