package relations

import (
	"context"

	"rollcall/models"
)

// Change is a change that would reverse a decision.
type Change string

// The changes that may be needed until a message is allowed.
const (
	RegisterSender      Change = "REGISTER_SENDER"
	ReactivateSender    Change = "REACTIVATE_SENDER"
	LiftBan             Change = "LIFT_BAN"
	RegisterRecipient   Change = "REGISTER_RECIPIENT"
	ReactivateRecipient Change = "REACTIVATE_RECIPIENT"
	// AllowSender means that the sender is added to the recipient's whitelist, or the whitelist is
	// turned off.
	AllowSender Change = "ALLOW_SENDER"
	// AllowSenderOrUnblock is AllowSender if the sender is blocked too: if the whitelist is turned
	// off, the block must be removed as well.
	AllowSenderOrUnblock Change = "ALLOW_SENDER_OR_UNBLOCK"
	Unblock              Change = "UNBLOCK"
	// Befriend means that the two become friends, or that the app no longer requires it.
	Befriend Change = "BEFRIEND"
)

// The changes that may deny a message that is allowed.
const (
	// StopSender means that the sender is banned or deactivated.
	StopSender          Change = "STOP_SENDER"
	DeactivateRecipient Change = "DEACTIVATE_RECIPIENT"
	// DisallowSender means that the sender is removed from the recipient's whitelist.
	DisallowSender Change = "DISALLOW_SENDER"
	WhitelistOn    Change = "WHITELIST_ON"
	WhitelistOff   Change = "WHITELIST_OFF"
	BlockSender    Change = "BLOCK_SENDER"
	Unfriend       Change = "UNFRIEND"
	FriendsOnly    Change = "FRIENDS_ONLY"
)

// Changes are all changes.
var Changes = []Change{
	RegisterSender, ReactivateSender, LiftBan, RegisterRecipient, ReactivateRecipient,
	AllowSender, AllowSenderOrUnblock, Unblock, Befriend,
	StopSender, DeactivateRecipient, DisallowSender, WhitelistOn, WhitelistOff, BlockSender, Unfriend, FriendsOnly,
}

// Explanation is a decision with the changes that would reverse it.
type Explanation struct {
	*Permission
	// Needs are the changes that together would allow a message that is denied. There may be
	// several, because one obstacle may hide another.
	Needs []Change
	// Stops are the changes each of which would deny a message that is allowed.
	Stops []Change
}

// Explain decides as Permission does, and also returns the changes that would reverse the decision.
// It finds them with the rules themselves: it tries changes and decides again.
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

// remove removes the obstacle behind a denial and returns the change that does so.
func (a *facts) remove(reason DenialReason, self bool) Change {
	// Keys that no user has: a user that does not exist yet has no relations.
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
		a.Friends = true
		return Befriend
	}
	panic("relations: nothing removes " + reason)
}

// stops are the changes that may deny an allowed message. Those that concern only the two users
// come first.
var stops = []struct {
	change Change
	try    func(*facts)
}{
	{StopSender, func(a *facts) { a.SenderDeactivatedAt = 1 }},
	{DeactivateRecipient, func(a *facts) {
		if a.RecipientID != a.SenderID { // otherwise StopSender applies
			a.RecipientDeactivatedAt = 1
		}
	}},
	{DisallowSender, func(a *facts) { a.Listed = false }},
	{WhitelistOff, func(a *facts) { a.WhitelistEnabled = false }},
	{WhitelistOn, func(a *facts) { a.WhitelistEnabled = true }},
	{BlockSender, func(a *facts) { a.Blocked = true }},
	{Unfriend, func(a *facts) { a.Friends = false }},
	{FriendsOnly, func(a *facts) { a.FriendsOnly = true }},
}
