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
	N int
	// The sender's and the recipient's rows; 0: there is none.
	SenderID, RecipientID                   int64
	SenderDeactivatedAt, SenderBannedUntil  models.Time
	RecipientDeactivatedAt                  models.Time
	WhitelistEnabled, Listed, Blocked, Fond bool
}

// Permission decides whether a message may be sent, by what the database holds
// now; nothing is cached. Decisions that are asked for together share a query.
func (s *Service) Permission(ctx context.Context, app *models.App, pair Pair) (*Permission, error) {
	found, _, err := s.permissions.Get(ctx, question{app.ID, pair})
	if err != nil {
		return nil, err
	}
	return s.judge(app, pair, found), nil
}

// Permissions decides for up to MaxPairs pairs, in the order asked, in one query.
func (s *Service) Permissions(ctx context.Context, app *models.App, pairs []Pair) ([]*Permission, error) {
	questions := make([]question, len(pairs))
	for i, pair := range pairs {
		questions[i] = question{app.ID, pair}
	}
	answers, err := s.decide(ctx, questions)
	if err != nil {
		return nil, err
	}
	out := make([]*Permission, len(pairs))
	for i, pair := range pairs {
		out[i] = s.judge(app, pair, answers[questions[i]])
	}
	return out, nil
}

// judge applies the rules, the first that fits.
func (s *Service) judge(app *models.App, pair Pair, a answer) *Permission {
	now := s.now()
	deny := func(reason DenialReason) *Permission {
		return &Permission{From: pair.From, To: pair.To, Reason: &reason}
	}
	switch {
	case a.SenderID == 0:
		return deny(SenderNotFound)
	case a.SenderDeactivatedAt != 0:
		return deny(SenderDeactivated)
	case a.SenderBannedUntil > now:
		return deny(SenderBanned)
	case a.RecipientID == 0:
		return deny(RecipientNotFound)
	case a.RecipientDeactivatedAt != 0:
		return deny(RecipientDeactivated)
	case a.SenderID == a.RecipientID:
	case a.WhitelistEnabled && !a.Listed:
		return deny(NotInWhitelist)
	case !a.WhitelistEnabled && a.Blocked: // inert while the whitelist is on
		return deny(BlockedByRecipient)
	case app.Settings.OnlyFriendsCanMessage && !a.Fond:
		return deny(NotFriends)
	}
	return &Permission{From: pair.From, To: pair.To, Allowed: true}
}

// decide reads what decisions hang on, all in one statement: it is asked for
// every message that is sent. The questions are a table of their own; each finds
// its rows by unique keys.
func (s *Service) decide(ctx context.Context, questions []question) (map[question]answer, error) {
	out := make(map[question]answer, len(questions))
	if len(questions) == 0 {
		return out, nil
	}
	table, args := s.questions(questions)
	var rows []answer
	err := s.db.Read(ctx).Raw(`SELECT q.n,
			COALESCE(s.id, 0) AS sender_id,
			COALESCE(s.deactivated_at, 0) AS sender_deactivated_at,
			COALESCE(s.banned_until, 0) AS sender_banned_until,
			COALESCE(r.id, 0) AS recipient_id,
			COALESCE(r.deactivated_at, 0) AS recipient_deactivated_at,
			COALESCE(r.whitelist_enabled, 0) AS whitelist_enabled,
			EXISTS (SELECT 1 FROM whitelist_entries w WHERE w.user_id = r.id AND w.allowed_id = s.id) AS listed,
			EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = r.id AND b.blocked_id = s.id) AS blocked,
			EXISTS (SELECT 1 FROM friendships f WHERE f.user_id = r.id AND f.friend_id = s.id) AS fond
		FROM (`+table+`) q
		LEFT JOIN users s ON s.app_id = q.app AND s.external_id = q.sender
		LEFT JOIN users r ON r.app_id = q.app AND r.external_id = q.recipient`, args...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading permissions: %w", err)
	}
	for _, row := range rows {
		out[questions[row.N]] = row
	}
	return out, nil
}

// possible answers an ID that somebody could have, or "", which is nobody's: MySQL
// cannot compare others, or takes "ann " for "ann".
func possible(id string) string {
	if !database.IsASCII(id) || strings.TrimSpace(id) != id {
		return ""
	}
	return id
}

// questions writes the questions as a SELECT with the columns n, app, sender and
// recipient.
func (s *Service) questions(questions []question) (string, []any) {
	// What a derived table holds is utf8mb4, and MySQL would convert the whole
	// column of IDs to compare with it, and find no index.
	id := "CONVERT(? USING ascii) COLLATE ascii_bin"
	if s.db.Dialect() == database.SQLite {
		id = "?"
	}
	var sql strings.Builder
	var args []any
	for n, q := range questions {
		switch {
		case n == 0 && s.db.Dialect() == database.SQLite:
			sql.WriteString("SELECT column1 AS n, column2 AS app, column3 AS sender, column4 AS recipient FROM (VALUES (?, ?, ?, ?)")
		case s.db.Dialect() == database.SQLite:
			sql.WriteString(", (?, ?, ?, ?)") // SQLite allows only 500 united selects
		case n == 0:
			fmt.Fprintf(&sql, "SELECT ? AS n, ? AS app, %s AS sender, %s AS recipient", id, id)
		default:
			fmt.Fprintf(&sql, " UNION ALL SELECT ?, ?, %s, %s", id, id)
		}
		args = append(args, n, q.appID, possible(q.From), possible(q.To))
	}
	if s.db.Dialect() == database.SQLite {
		sql.WriteString(")")
	}
	return sql.String(), args
}
