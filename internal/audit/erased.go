package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"rollcall/models"
)

// The kinds of what an erasure removes. ErasedMentions are the entries in lists of other users.
const (
	ErasedProfile       = "profile"
	ErasedBans          = "bans"
	ErasedNotes         = "notes"
	ErasedFriends       = "friends"
	ErasedRequests      = "requests"
	ErasedBlocklist     = "blocklist"
	ErasedWhitelist     = "whitelist"
	ErasedSubscriptions = "subscriptions"
	ErasedMentions      = "mentions"
	ErasedEvents        = "events"
)

// ErasedKinds returns all kinds, in the order in which they are written and shown.
func ErasedKinds() []string {
	return []string{
		ErasedProfile, ErasedFriends, ErasedRequests, ErasedBlocklist, ErasedWhitelist, ErasedSubscriptions, ErasedMentions,
		ErasedBans, ErasedNotes, ErasedEvents,
	}
}

// Erased are the numbers of what an erasure of a user has removed, by kind.
type Erased map[string]int

// String returns the numbers of all kinds for the detail of an entry.
func (e Erased) String() string {
	kinds := ErasedKinds()
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%s=%d", kind, e[kind])
	}
	return strings.Join(kinds, " ")
}

// ReadErased returns the numbers in the detail of an entry, or nil if it has none, as entries of
// releases before.
func ReadErased(detail string) Erased {
	var e Erased
	for part := range strings.FieldsSeq(detail) {
		kind, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if err != nil || !slices.Contains(ErasedKinds(), kind) {
			return nil
		}
		if e == nil {
			e = make(Erased)
		}
		e[kind] = n
	}
	return e
}

// Erasures are the numbers of what is erased of users, by users.id.
type Erasures map[int64]Erased

// Add adds to the kind how many rows of the table refer to each of the users in the column.
func (e Erasures) Add(tx *gorm.DB, kind string, table any, column string, users []int64) error {
	var rows []struct {
		UserID int64
		N      int
	}
	err := tx.Model(table).Select(column+" AS user_id, COUNT(*) AS n").Where(column+" IN ?", users).Group(column).Find(&rows).Error
	if err != nil {
		return fmt.Errorf("counting what is erased: %w", err)
	}
	for _, row := range rows {
		e.Count(kind, row.UserID, row.N)
	}
	return nil
}

// Count adds n to the kind of a user.
func (e Erasures) Count(kind string, user int64, n int) {
	if e[user] == nil {
		e[user] = make(Erased)
	}
	e[user][kind] += n
}

// erasures are the actions that erase a user.
var erasures = []string{ActionUserDeactivate, ActionUserDelete}

// IsErasure reports whether the entry is the erasure of a user.
func IsErasure(e *models.AuditEntry) bool {
	return e.AppID != nil && slices.Contains(erasures, e.Action)
}

// Erasure returns the entry of the app with that audit_entries.id, or nil if there is none or it is not
// the erasure of a user.
func (l *Log) Erasure(ctx context.Context, app *models.App, id int64) (*models.AuditEntry, error) {
	var found []*models.AuditEntry
	err := l.db.Read(ctx).Where("id = ? AND app_id = ? AND action IN ?", id, app.ID, erasures).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
