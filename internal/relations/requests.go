package relations

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// RequestLifetime is how long a friend request stays pending.
const RequestLifetime = 7 * 24 * time.Hour

// FriendRequest is a pending friend request with the two users.
type FriendRequest struct {
	ID        string
	From, To  *models.User
	Message   *string
	CreatedAt models.Time
	ExpiresAt models.Time
}

func (r *FriendRequest) sender() *models.User    { return r.From }
func (r *FriendRequest) recipient() *models.User { return r.To }

// requestIDs returns the sealer for the IDs of friend requests.
func requestIDs(secret opaque.Secret) *opaque.Sealer { return secret.Sealer("friend request", 0) }

// requestID returns the ID of the request with that friend_requests.id.
func requestID(ids *opaque.Sealer, key int64) string {
	return models.RequestNode.ID(ids.Seal(key, 0))
}

// requestKey returns the friend_requests.id of an ID, and reports whether the ID is valid.
func requestKey(ids *opaque.Sealer, id string) (key int64, ok bool) {
	sealed, ok := strings.CutPrefix(id, models.RequestNode.ID(""))
	if !ok {
		return 0, false
	}
	key, zero, ok := ids.Open(sealed)
	return key, ok && zero == 0
}

// Sent is the result of sending a friend request: exactly one of its fields is set.
type Sent struct {
	Request    *FriendRequest
	Friendship *Friendship
}

// SendResult is a *FriendRequest or a *Friendship.
type SendResult any

// Result returns the field that is set.
func (s *Sent) Result() SendResult {
	if s.Friendship != nil {
		return s.Friendship
	}
	return s.Request
}

// SendFriendRequest sends a friend request, which makes the two friends at once or waits for the
// recipient to accept it; see asking.decide. Sending again keeps the request and replaces its message
// and expiry. Returns SELF_REFERENCE, INVALID_ARGUMENT for the message, USER_NOT_FOUND,
// USER_DEACTIVATED, the refusals of asking.decide, FRIEND_LIMIT_REACHED of the recipient if the two
// become friends, or RATE_LIMITED (the app's friendRequestDailyLimit, or too many pending requests).
func (s *Service) SendFriendRequest(ctx context.Context, app *models.App, from, to string, message *string) (*Sent, error) {
	if from == to {
		return nil, oneself()
	}
	if err := validate.Value("message", message, noteRule); err != nil {
		return nil, err
	}
	var out *Sent
	err := s.change(ctx, app, []string{from, to}, func(tx *gorm.DB, users userlock.Users, n *notes) error {
		sender, err := users.Active(from)
		if err != nil {
			return err
		}
		recipient, err := users.Active(to)
		if err != nil {
			return err
		}
		asked, err := s.readAsking(tx, app, sender, recipient, n.at)
		if err != nil {
			return err
		}
		befriends, err := asked.decide()
		if err != nil {
			return err
		}
		if err := countRequest(tx, app, sender, n.at); err != nil {
			return err
		}
		if befriends {
			made, err := s.befriend(tx, app, sender, recipient, n)
			out = &Sent{Friendship: made}
			return err
		}
		request, announce, err := ask(tx, sender, recipient, nonEmpty(message), n.at)
		if err != nil {
			return err
		}
		out = &Sent{Request: s.shown(request, sender, recipient)}
		if announce {
			n.tellRequest(recipient, FriendRequestReceived, out.Request)
		}
		return nil
	})
	return out, err
}

// asking is a friend request between two locked and active users, with everything that its effect
// depends on.
type asking struct {
	settings          *models.AppSettings
	sender, recipient *party
	// listed reports whether the sender is on the recipient's whitelist. It is not read while that
	// is off.
	listed bool
	at     models.Time
}

// readAsking reads what the effect of a request between two locked users depends on.
func (s *Service) readAsking(tx *gorm.DB, app *models.App, sender, recipient *models.User, at models.Time) (*asking, error) {
	parties, err := readParties(tx, s.adder.read, []*addition{{owner: sender.ID, friend: recipient.ID}})
	if err != nil {
		return nil, err
	}
	a := &asking{settings: &app.Settings, sender: parties[sender.ID], recipient: parties[recipient.ID], at: at}
	if recipient.WhitelistEnabled {
		a.listed, err = exists(tx, &models.WhitelistEntry{}, "user_id = ? AND allowed_id = ?", recipient.ID, sender.ID)
	}
	return a, err
}

// decide is the rule of SendFriendRequest: befriends reports whether the request makes the two users
// friends, and otherwise it is stored. It makes friends if the recipient's policy is ANYONE, or if it
// crosses a pending request from the recipient: that is the recipient's approval, even if its policy
// is NOBODY. Returns BLOCKED (by either user), NOT_IN_WHITELIST, ALREADY_FRIENDS,
// REQUESTS_NOT_ACCEPTED or FRIEND_LIMIT_REACHED of the sender. The recipient's limit is checked when
// the two become friends.
func (a *asking) decide() (befriends bool, err error) {
	sender, recipient := &a.sender.user, &a.recipient.user
	switch {
	case a.sender.blocks || a.recipient.blocks:
		return false, fault.New(fault.Blocked, "one of the two users has blocked the other")
	case recipient.WhitelistEnabled && !a.listed:
		return false, fault.New(fault.NotInWhitelist, "the user %q accepts requests only from users on its whitelist", recipient.ExternalID)
	case a.sender.friends:
		return false, fault.New(fault.AlreadyFriends, "the two users are already friends")
	}
	policy, crosses := recipient.PolicyIn(a.settings), a.recipient.expires > a.at
	if policy == models.PolicyNobody && !crosses {
		return false, fault.New(fault.RequestsNotAccepted, "the user %q accepts no friend requests", recipient.ExternalID)
	}
	return policy == models.PolicyAnyone || crosses, friendRoom(a.settings.FriendLimit, sender)
}

// ask writes a request between two locked users, a new one or one that is sent again. announce
// reports whether the recipient must be notified. Returns RATE_LIMITED if a new request would
// exceed the limit.
func ask(tx *gorm.DB, sender, recipient *models.User, message *string, at models.Time) (row *models.FriendRequest, announce bool, err error) {
	row = &models.FriendRequest{}
	err = tx.Where("from_id = ? AND to_id = ?", sender.ID, recipient.ID).Take(row).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
	case err != nil:
		return nil, false, err
	case row.ExpiresAt > at:
		row.Message, row.ExpiresAt = message, at.Add(RequestLifetime)
		if announce = at >= row.AnnouncedAt.Add(announceInterval); announce {
			row.AnnouncedAt = at
		}
		if err := tx.Model(row).Select("message", "expires_at", "announced_at").Updates(row).Error; err != nil {
			return nil, false, err
		}
		return row, announce, writeSent(tx, row)
	default: // an expired request is replaced by a new one
		if err := tx.Delete(row).Error; err != nil { // writeSent replaces the sender's
			return nil, false, err
		}
	}
	if err := pendingRoom(tx, sender, at); err != nil {
		return nil, false, err
	}
	row = &models.FriendRequest{
		FromID: sender.ID, ToID: recipient.ID, Message: message,
		CreatedAt: at, ExpiresAt: at.Add(RequestLifetime), AnnouncedAt: at,
	}
	if err := tx.Create(row).Error; err != nil {
		return nil, false, err
	}
	return row, true, writeSent(tx, row)
}

// AcceptFriendRequest makes the two users friends and returns the friendship as the recipient sees
// it. Returns REQUEST_NOT_FOUND if id is not a pending request to this user, and
// FRIEND_LIMIT_REACHED of either user.
func (s *Service) AcceptFriendRequest(ctx context.Context, app *models.App, recipientID, id string) (*Friendship, error) {
	var out *Friendship
	err := s.resolve(ctx, app, id, (*FriendRequest).recipient, recipientID, func(tx *gorm.DB, request *FriendRequest, n *notes) (err error) {
		out, err = s.befriend(tx, app, request.To, request.From, n)
		return err
	})
	return out, err
}

// DeclineFriendRequest ends a request to this user and returns it as it was. Returns
// REQUEST_NOT_FOUND if it is not pending.
func (s *Service) DeclineFriendRequest(ctx context.Context, app *models.App, recipientID, id string) (*FriendRequest, error) {
	var out *FriendRequest
	err := s.resolve(ctx, app, id, (*FriendRequest).recipient, recipientID, func(tx *gorm.DB, request *FriendRequest, n *notes) error {
		out = request
		n.tellRequest(request.From, FriendRequestDeclined, request)
		return s.deleteRequest(tx, request)
	})
	return out, err
}

// CancelFriendRequest ends a request from this user and returns it as it was. Returns
// REQUEST_NOT_FOUND if it is not pending.
func (s *Service) CancelFriendRequest(ctx context.Context, app *models.App, senderID, id string) (*FriendRequest, error) {
	var out *FriendRequest
	err := s.resolve(ctx, app, id, (*FriendRequest).sender, senderID, func(tx *gorm.DB, request *FriendRequest, n *notes) error {
		out = request
		n.tellRequest(request.To, FriendRequestCancelled, request)
		return s.deleteRequest(tx, request)
	})
	return out, err
}

func (s *Service) deleteRequest(tx *gorm.DB, request *FriendRequest) error {
	return deleteRequests(tx, s.db, requestPair{request.From.ID, request.To.ID})
}

// errNoRequest is the same error for a request that does not exist and for one between other users.
var errNoRequest = fault.New(fault.RequestNotFound, "there is no such pending friend request")

// resolve runs fn with a pending request of which the user userID is the one that caller returns, its
// sender or its recipient. Both users of the request are locked, and the request still exists. Returns
// REQUEST_NOT_FOUND if there is no such request.
func (s *Service) resolve(ctx context.Context, app *models.App, id string, caller func(*FriendRequest) *models.User, userID string,
	fn func(tx *gorm.DB, request *FriendRequest, n *notes) error) error {
	key, ok := requestKey(s.requestIDs, id)
	if !ok {
		return errNoRequest
	}
	asked, err := s.requestByKey(ctx, app, key)
	if err != nil {
		return fault.Wrap(err, "changing relations")
	}
	if asked == nil || caller(asked).ExternalID != userID {
		return errNoRequest
	}
	return s.change(ctx, app, []string{asked.From.ExternalID, asked.To.ExternalID}, func(tx *gorm.DB, users userlock.Users, n *notes) error {
		from, to := users[asked.From.ExternalID], users[asked.To.ExternalID]
		if from == nil || to == nil {
			return errNoRequest
		}
		row := &models.FriendRequest{}
		found, err := take(tx.Where("id = ? AND from_id = ? AND to_id = ? AND expires_at > ?", key, from.ID, to.ID, n.at), row)
		if err != nil {
			return err
		}
		if !found {
			return errNoRequest
		}
		return fn(tx, s.shown(row, from, to), n)
	})
}

// endRequests deletes the requests between a user and each of others, all of which are locked, and
// returns the deleted ones, including expired ones.
func (s *Service) endRequests(tx *gorm.DB, user *models.User, others ...*models.User) ([]*models.FriendRequest, error) {
	var pairs []requestPair
	for _, u := range others {
		pairs = append(pairs, requestPair{user.ID, u.ID}, requestPair{u.ID, user.ID})
	}
	var rows []*models.FriendRequest
	err := ofPairs(tx, s.db, pairs).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	pairs = pairs[:0]
	for _, row := range rows {
		pairs = append(pairs, requestPair{row.FromID, row.ToID})
	}
	return rows, deleteRequests(tx, s.db, pairs...)
}

func (s *Service) shown(row *models.FriendRequest, from, to *models.User) *FriendRequest {
	return &FriendRequest{
		ID: requestID(s.requestIDs, row.ID), From: from, To: to,
		Message: row.Message, CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt,
	}
}
