package relations

import (
	"context"
	"fmt"
	"strings"

	"rollcall/internal/database"
	"rollcall/models"
)

// MaxPairs is how many decisions may be asked for at once.
const MaxPairs = 500

// decidersAlone is how many decisions have queries of their own before they share.
const decidersAlone = 4

// DenialReason says which rule forbids a message.
type DenialReason string

// The reasons, in the order in which they are looked at: the first that fits wins.
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

// Permission is the answer to "may from message to".
type Permission struct {
	From, To string
	Allowed  bool
	// Reason is nil where it is allowed.
	Reason *DenialReason
}

// Pair asks whether From may message To; both are external IDs.
type Pair struct{ From, To string }

// question is a pair in its app.
type question struct {
	appID int64
	Pair
}

// answer is everything that a decision hangs on.
type answer struct {
	// The sender's and the recipient's rows; 0: there is none.
	SenderID, RecipientID                   int64
	SenderDeactivatedAt, SenderBannedUntil  models.Time
	RecipientDeactivatedAt                  models.Time
	WhitelistEnabled, Listed, Blocked, Fond bool
	// Of the app; noApp: there is none.
	SecretGeneration int
	FriendsOnly      bool
}

// noApp is no app's generation of the secret.
const noApp = -1

// Permission decides whether a message may be sent, by what the database holds
// now; nothing is cached. Decisions that are asked for together share a query.
func (s *Service) Permission(ctx context.Context, app *models.App, pair Pair) (*Permission, error) {
	found, _, err := s.permissions.Get(ctx, question{app.ID, pair})
	if err != nil {
		return nil, err
	}
	return s.judge(app.Settings.OnlyFriendsCanMessage, pair, found), nil
}

// PermissionWithSecret is Permission in the app with the key apps.id, and answers the
// generation of that app's secret from the same read, for who has to know whether a
// token is still good; one that no token has where there is no such app.
func (s *Service) PermissionWithSecret(ctx context.Context, appID int64, pair Pair) (*Permission, int, error) {
	found, ok, err := s.permissions.Get(ctx, question{appID, pair})
	if err != nil {
		return nil, noApp, err
	}
	if !ok {
		found.SecretGeneration = noApp
	}
	return s.judge(found.FriendsOnly, pair, found), found.SecretGeneration, nil
}

// Permissions decides for up to MaxPairs pairs, in the order asked, in one query.
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
	}
	return out, nil
}

// judge decides by what is found.
func (s *Service) judge(friendsOnly bool, pair Pair, found answer) *Permission {
	found.FriendsOnly = friendsOnly
	p := &Permission{From: pair.From, To: pair.To}
	if reason := found.denial(s.now()); reason == "" {
		p.Allowed = true
	} else {
		denied := reason // only a denial needs memory of its own
		p.Reason = &denied
	}
	return p
}

// denial applies the rules: the first that forbids, or "".
func (a answer) denial(now models.Time) DenialReason {
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
	case !a.WhitelistEnabled && a.Blocked: // inert while the whitelist is on
		return BlockedByRecipient
	case a.FriendsOnly && !a.Fond:
		return NotFriends
	}
	return ""
}

// decisions reads what decisions hang on, all in one statement: it is asked for
// every message that is sent.
func decisions(db *database.DB) database.Lookup[question, answer] {
	return database.Lookup[question, answer]{
		What: "permissions",
		Text: func(n int) string { return questions(db, n) },
		Bind: func(args []any, q question) []any {
			return append(args, possible(q.From), possible(q.To), q.appID)
		},
		Rows: func(keys []question) ([]any, func() (question, answer)) {
			var n int
			var a answer
			targets := []any{&n, &a.SenderID, &a.SenderDeactivatedAt, &a.SenderBannedUntil,
				&a.RecipientID, &a.RecipientDeactivatedAt, &a.WhitelistEnabled, &a.Listed, &a.Blocked, &a.Fond,
				&a.SecretGeneration, &a.FriendsOnly}
			return targets, func() (question, answer) {
				return keys[min(n, len(keys)-1)], a // the last one may have been asked again
			}
		},
	}
}

const decisionColumns = `
	COALESCE(s.id, 0), COALESCE(s.deactivated_at, 0), COALESCE(s.banned_until, 0),
	COALESCE(r.id, 0), COALESCE(r.deactivated_at, 0), COALESCE(r.whitelist_enabled, 0),
	w.user_id IS NOT NULL, b.user_id IS NOT NULL, f.user_id IS NOT NULL, `

// questions writes the statement that reads what n decisions hang on: users and
// entries, each found by a unique key.
func questions(db *database.DB, n int) string {
	const entries = `
LEFT JOIN whitelist_entries w ON w.user_id = r.id AND w.allowed_id = s.id
LEFT JOIN blocks b ON b.user_id = r.id AND b.blocked_id = s.id
LEFT JOIN friendships f ON f.user_id = r.id AND f.friend_id = s.id`
	if n == 1 && db.Dialect() == database.MySQL {
		// Without a table of questions, which it would make first, all rows are
		// found before there is anything to plan.
		return "SELECT 0," + decisionColumns + `a.secret_generation, a.only_friends_can_message
FROM apps a
LEFT JOIN users s ON s.app_id = a.id AND s.external_id = ?
LEFT JOIN users r ON r.app_id = a.id AND r.external_id = ?` + entries + `
WHERE a.id = ?`
	}
	var sql strings.Builder
	// What a derived table holds is utf8mb4, and MySQL would convert the whole
	// column of IDs to compare with it, and find no index.
	const id = "CONVERT(? USING ascii) COLLATE ascii_bin"
	for i := range n {
		switch {
		case i == 0 && db.Dialect() == database.SQLite:
			sql.WriteString("SELECT column1 AS n, column2 AS sender, column3 AS recipient, column4 AS app FROM (VALUES (0, ?, ?, ?)")
		case db.Dialect() == database.SQLite:
			fmt.Fprintf(&sql, ", (%d, ?, ?, ?)", i) // SQLite allows only 500 united selects
		case i == 0:
			fmt.Fprintf(&sql, "SELECT 0 AS n, %s AS sender, %s AS recipient, ? AS app", id, id)
		default:
			fmt.Fprintf(&sql, " UNION ALL SELECT %d, %s, %s, ?", i, id, id)
		}
	}
	if db.Dialect() == database.SQLite {
		sql.WriteString(")")
	}
	return "SELECT q.n," + decisionColumns + `
	COALESCE((SELECT secret_generation FROM apps WHERE id = q.app), -1),
	COALESCE((SELECT only_friends_can_message FROM apps WHERE id = q.app), 0)
FROM (` + sql.String() + `) q
LEFT JOIN users s ON s.app_id = q.app AND s.external_id = q.sender
LEFT JOIN users r ON r.app_id = q.app AND r.external_id = q.recipient` + entries
}

// possible answers an ID that somebody could have, or "", which is nobody's: MySQL
// cannot compare others, or takes "ann " for "ann".
func possible(id string) string {
	if !database.IsASCII(id) || strings.TrimSpace(id) != id {
		return ""
	}
	return id
}
