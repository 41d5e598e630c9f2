package relations

import (
	"context"

	"rollcall/models"
)

// Change is what would change a decision.
type Change string

// What may be needed until a message is allowed.
const (
	RegisterSender      Change = "REGISTER_SENDER"
	ReactivateSender    Change = "REACTIVATE_SENDER"
	LiftBan             Change = "LIFT_BAN"
	RegisterRecipient   Change = "REGISTER_RECIPIENT"
	ReactivateRecipient Change = "REACTIVATE_RECIPIENT"
	// AllowSender: the sender is put on the recipient's whitelist, or that is turned off.
	AllowSender Change = "ALLOW_SENDER"
	// AllowSenderOrUnblock is AllowSender where a block waits behind the whitelist:
	// who turns that off has to end the block, too.
	AllowSenderOrUnblock Change = "ALLOW_SENDER_OR_UNBLOCK"
	Unblock              Change = "UNBLOCK"
	// Befriend: the two become friends, or the app no longer asks for it.
	Befriend Change = "BEFRIEND"
)

// What may end that a message is allowed.
const (
	// StopSender: the sender is banned or deactivated.
	StopSender          Change = "STOP_SENDER"
	DeactivateRecipient Change = "DEACTIVATE_RECIPIENT"
	// DisallowSender: the sender is taken off the recipient's whitelist.
	DisallowSender Change = "DISALLOW_SENDER"
	WhitelistOn    Change = "WHITELIST_ON"
	WhitelistOff   Change = "WHITELIST_OFF"
	BlockSender    Change = "BLOCK_SENDER"
	Unfriend       Change = "UNFRIEND"
	FriendsOnly    Change = "FRIENDS_ONLY"
)

// Changes are all that there are.
var Changes = []Change{
	RegisterSender, ReactivateSender, LiftBan, RegisterRecipient, ReactivateRecipient,
	AllowSender, AllowSenderOrUnblock, Unblock, Befriend,
	StopSender, DeactivateRecipient, DisallowSender, WhitelistOn, WhitelistOff, BlockSender, Unfriend, FriendsOnly,
}

// Explanation is a decision with what would change it.
type Explanation struct {
	*Permission
	// Needs are, of a message that is denied, what together would allow it: one
	// obstacle may stand behind another.
	Needs []Change
	// Stops are, of a message that is allowed, what would each alone deny it.
	Stops []Change
}

// Explain decides as Permission does, and says what would change the decision. It
// finds that out by the rules themselves: it tries changes and decides again.
func (s *Service) Explain(ctx context.Context, app *models.App, pair Pair) (*Explanation, error) {
	found, _, err := s.permissions.Get(ctx, question{app.ID, pair})
	if err != nil {
		return nil, err
	}
	found.FriendsOnly = app.Settings.OnlyFriendsCanMessage
	e := &Explanation{Permission: s.judge(found.FriendsOnly, pair, found)}
	now := s.now()
	for reason := found.denial(now); reason != ""; reason = found.denial(now) {
		e.Needs = append(e.Needs, found.remove(reason, pair.From == pair.To))
	}
	if !e.Allowed {
		return e, nil
	}
	for _, stop := range stops {
		changed := found
		stop.try(&changed)
		if changed.denial(now) != "" {
			e.Stops = append(e.Stops, stop.change)
		}
	}
	return e, nil
}

// remove takes the obstacle that denies out of the way, and answers how.
func (a *answer) remove(reason DenialReason, self bool) Change {
	// Keys that nobody has: users who were not there come without any relation.
	const sender, recipient = -1, -2
	switch reason {
	case SenderNotFound:
		a.SenderID = sender
		if self {
			a.RecipientID = sender
		}
		return RegisterSender
	case SenderDeactivated:
		a.SenderDeactivatedAt = 0
		if self {
			a.RecipientDeactivatedAt = 0
		}
		return ReactivateSender
	case SenderBanned:
		a.SenderBannedUntil = 0
		return LiftBan
	case RecipientNotFound:
		a.RecipientID = recipient
		return RegisterRecipient
	case RecipientDeactivated:
		a.RecipientDeactivatedAt = 0
		return ReactivateRecipient
	case NotInWhitelist:
		a.Listed = true
		if a.Blocked {
			return AllowSenderOrUnblock
		}
		return AllowSender
	case BlockedByRecipient:
		a.Blocked = false
		return Unblock
	case NotFriends:
		a.Fond = true
		return Befriend
	}
	panic("relations: nothing removes " + reason)
}

// stops are the changes that may deny what is allowed, those first that are about
// the two alone.
var stops = []struct {
	change Change
	try    func(*answer)
}{
	{StopSender, func(a *answer) { a.SenderDeactivatedAt = 1 }},
	{DeactivateRecipient, func(a *answer) {
		if a.RecipientID != a.SenderID { // else it is the sender that stops
			a.RecipientDeactivatedAt = 1
		}
	}},
	{DisallowSender, func(a *answer) { a.Listed = false }},
	{WhitelistOff, func(a *answer) { a.WhitelistEnabled = false }},
	{WhitelistOn, func(a *answer) { a.WhitelistEnabled = true }},
	{BlockSender, func(a *answer) { a.Blocked = true }},
	{Unfriend, func(a *answer) { a.Fond = false }},
	{FriendsOnly, func(a *answer) { a.FriendsOnly = true }},
}
