package relations

import (
	"context"
	"fmt"
	"strings"

	"rollcall/internal/database"
	"rollcall/internal/token"
	"rollcall/models"
)

// MaxPairs is the maximum number of decisions in one call.
const MaxPairs = 500

// decidersAlone is how many decisions run queries of their own before further ones share.
const decidersAlone = 4

// DenialReason is the rule that forbids a message.
type DenialReason string

// The reasons, in the order in which they are checked. The first that applies is returned.
const (
	SenderNotFound       DenialReason = "SENDER_NOT_FOUND"
	SenderDeactivated    DenialReason = "SENDER_DEACTIVATED"
	SenderBanned         DenialReason = "SENDER_BANNED"
	RecipientNotFound    DenialReason = "RECIPIENT_NOT_FOUND"
	RecipientDeactivated DenialReason = "RECIPIENT_DEACTIVATED"
	NotInWhitelist       DenialReason = "NOT_IN_WHITELIST"
	BlockedByRecipient   DenialReason = "BLOCKED_BY_RECIPIENT"
	NotFriends           DenialReason = "NOT_FRIENDS"
)

// DenialReasons are all reasons, in the order in which they are checked.
var DenialReasons = [...]DenialReason{
	SenderNotFound, SenderDeactivated, SenderBanned, RecipientNotFound, RecipientDeactivated,
	NotInWhitelist, BlockedByRecipient, NotFriends,
}

// Permission is the decision whether from may message to.
type Permission struct {
	From, To string
	Allowed  bool
	// Reason is nil if the message is allowed.
	Reason *DenialReason
}

// Pair is the question whether From may message To. Both are external IDs.
type Pair struct{ From, To string }

// question is a pair and its app.
type question struct {
	appID int64
	Pair
}

// facts are everything that a decision depends on.
type facts struct {
	// SenderID and RecipientID are the users' keys, or 0 if there is no such user.
	SenderID, RecipientID                      int64
	SenderDeactivatedAt, SenderBannedUntil     models.Time
	RecipientDeactivatedAt                     models.Time
	WhitelistEnabled, Listed, Blocked, Friends bool
	// SecretGeneration is the app's, or models.NoSecret if there is no such app or it is disabled.
	SecretGeneration int
	FriendsOnly      bool
}

// Permission decides whether a message may be sent, from the present rows of the database; nothing
// is cached. Concurrent decisions share a query.
func (s *Service) Permission(ctx context.Context, app *models.App, pair Pair) (*Permission, error) {
	found, _, err := s.permissions.Get(ctx, question{app.ID, pair})
	if err != nil {
		return nil, err
	}
	p := s.judge(app.Settings.OnlyFriendsCanMessage, pair, found)
	s.tally.count(app.ID, p)
	return p, nil
}

// PermissionWithSecret returns the same decision as Permission, in the app with that apps.id, and
// from the same statement the generation of the app's secret, which confirms a token (see
// auth.Deferred). The generation is models.NoSecret if there is no such app or
// it is disabled.
func (s *Service) PermissionWithSecret(ctx context.Context, appID int64, pair Pair) (*Permission, int, error) {
	found, ok, err := s.permissions.Get(ctx, question{appID, pair})
	if err != nil {
		return nil, models.NoSecret, err
	}
	if !ok {
		found.SecretGeneration = models.NoSecret
	}
	p := s.judge(found.FriendsOnly, pair, found)
	if found.SecretGeneration != models.NoSecret {
		s.tally.count(appID, p)
	}
	return p, found.SecretGeneration, nil
}

// Permissions decides for up to MaxPairs pairs by one query. The results are in the order of pairs.
func (s *Service) Permissions(ctx context.Context, app *models.App, pairs []Pair) ([]*Permission, error) {
	asked := make([]question, len(pairs))
	for i, pair := range pairs {
		asked[i] = question{app.ID, pair}
	}
	answers, err := s.decide(ctx, asked)
	if err != nil {
		return nil, err
	}
	out := make([]*Permission, len(pairs))
	for i, pair := range pairs {
		out[i] = s.judge(app.Settings.OnlyFriendsCanMessage, pair, answers[asked[i]])
		s.tally.count(app.ID, out[i])
	}
	return out, nil
}

// judge decides from the facts.
func (s *Service) judge(friendsOnly bool, pair Pair, found facts) *Permission {
	found.FriendsOnly = friendsOnly
	p := &Permission{From: pair.From, To: pair.To}
	if reason := found.denial(s.now()); reason == "" {
		p.Allowed = true
	} else {
		denied := reason // only a denial needs an allocation of its own
		p.Reason = &denied
	}
	return p
}

// denial applies the rules and returns the first one that forbids the message, or "".
func (a facts) denial(now models.Time) DenialReason {
	switch {
	case a.SenderID == 0:
		return SenderNotFound
	case a.SenderDeactivatedAt != 0:
		return SenderDeactivated
	case a.SenderBannedUntil > now:
		return SenderBanned
	case a.RecipientID == 0:
		return RecipientNotFound
	case a.RecipientDeactivatedAt != 0:
		return RecipientDeactivated
	case a.SenderID == a.RecipientID:
	case a.WhitelistEnabled && !a.Listed:
		return NotInWhitelist
	case !a.WhitelistEnabled && a.Blocked: // the blocklist has no effect while the whitelist is on
		return BlockedByRecipient
	case a.FriendsOnly && !a.Friends:
		return NotFriends
	}
	return ""
}

// decisions reads the facts for decisions, all by one statement, because it runs for every message
// that is sent.
func decisions(db *database.DB) database.Lookup[question, facts] {
	return database.Lookup[question, facts]{
		What: "permissions",
		Text: func(n int) string { return questions(db, n) },
		Bind: func(args []any, q question) []any {
			return append(args, possible(q.From), possible(q.To), q.appID)
		},
		Rows: func(keys []question) ([]any, func() (question, facts)) {
			var n int
			var a facts
			targets := []any{&n, &a.SenderID, &a.SenderDeactivatedAt, &a.SenderBannedUntil,
				&a.RecipientID, &a.RecipientDeactivatedAt, &a.WhitelistEnabled, &a.Listed, &a.Blocked, &a.Friends,
				&a.SecretGeneration, &a.FriendsOnly}
			return targets, func() (question, facts) {
				return keys[min(n, len(keys)-1)], a // the last key may be repeated
			}
		},
	}
}

const decisionColumns = `
	COALESCE(s.id, 0), COALESCE(s.deactivated_at, 0), COALESCE(s.banned_until, 0),
	COALESCE(r.id, 0), COALESCE(r.deactivated_at, 0), COALESCE(r.whitelist_enabled, 0),
	w.user_id IS NOT NULL, b.user_id IS NOT NULL, f.user_id IS NOT NULL, `

// questions returns the statement that reads the facts for n decisions: users and entries, each
// found by a unique key.
func questions(db *database.DB, n int) string {
	const entries = `
LEFT JOIN whitelist_entries w ON w.user_id = r.id AND w.allowed_id = s.id
LEFT JOIN blocks b ON b.user_id = r.id AND b.blocked_id = s.id
LEFT JOIN friendships f ON f.user_id = r.id AND f.friend_id = s.id`
	if n == 1 && db.Dialect() == database.MySQL {
		// Without a derived table of questions, which the server would materialize first, the
		// optimizer reads all rows by their unique keys while it plans.
		return "SELECT 0," + decisionColumns + token.LiveGeneration("a") + `, a.only_friends_can_message
FROM apps a
LEFT JOIN users s ON s.app_id = a.id AND s.external_id = ?
LEFT JOIN users r ON r.app_id = a.id AND r.external_id = ?` + entries + `
WHERE a.id = ?`
	}
	var sql strings.Builder
	// The values of a derived table are utf8mb4. To compare with them, MySQL would convert the
	// whole column of IDs and use no index.
	const id = "CONVERT(? USING ascii) COLLATE ascii_bin"
	for i := range n {
		switch {
		case i == 0 && db.Dialect() == database.SQLite:
			sql.WriteString("SELECT column1 AS n, column2 AS sender, column3 AS recipient, column4 AS app FROM (VALUES (0, ?, ?, ?)")
		case db.Dialect() == database.SQLite:
			fmt.Fprintf(&sql, ", (%d, ?, ?, ?)", i) // SQLite allows only 500 SELECTs in a UNION
		case i == 0:
			fmt.Fprintf(&sql, "SELECT 0 AS n, %s AS sender, %s AS recipient, ? AS app", id, id)
		default:
			fmt.Fprintf(&sql, " UNION ALL SELECT %d, %s, %s, ?", i, id, id)
		}
	}
	if db.Dialect() == database.SQLite {
		sql.WriteString(")")
	}
	return "SELECT q.n," + decisionColumns + token.LiveGeneration("a") + `, COALESCE(a.only_friends_can_message, 0)
FROM (` + sql.String() + `) q
LEFT JOIN apps a ON a.id = q.app
LEFT JOIN users s ON s.app_id = q.app AND s.external_id = q.sender
LEFT JOIN users r ON r.app_id = q.app AND r.external_id = q.recipient` + entries
}

// possible returns id if a user can have it, and otherwise "", which no user has. MySQL cannot
// compare other texts, or treats "ann " as equal to "ann".
func possible(id string) string {
	if !database.IsASCII(id) || strings.TrimSpace(id) != id {
		return ""
	}
	return id
}
