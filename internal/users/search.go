package users

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// A search looks for any part of a name or an ID. No index finds these: one of the parts of words
// would be many times larger than the users, on each database in another way. So a search reads
// users_app_created, which contains the texts, and reads the rows of those only that match. The bounds
// make it cost the same in an app with a hundred million users.
const (
	// SearchIDs is how many of the IDs that begin with the text a search examines, in the order of
	// the IDs.
	SearchIDs = 10_000
	// SearchNames is how many of the newest users a search examines for any part of an ID or a name.
	SearchNames = 100_000
)

// reach is how many IDs and names a search examines.
type reach struct{ ids, names int }

// search replaces the parts and the total of a list of all users by those of a search: the users among
// the newest that match, and older ones whose ID begins with the text.
func (s *Service) search(ctx context.Context, app *models.App, f Filter, l *list) error {
	l.parts = nil
	var counted []query
	l.total = func(ctx context.Context) (sum int, err error) {
		for _, matching := range counted {
			n, err := s.count(ctx, app, matching)
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
	form := models.SearchForm(f.Search)
	if form == "" { // such a text selects no users, rather than all
		return nil
	}
	oldest, err := s.oldestExamined(ctx, app)
	if err != nil {
		return err
	}
	rows := s.db.Then() + " users ON users.id = found.id"
	newest := func(ctx context.Context) *gorm.DB { return s.only(ctx, f, s.matching(ctx, app, form, oldest, rows)) }
	l.parts = append(l.parts, part{at: "found.created_at", id: "found.id", queries: []query{newest}})
	if len(f.States)+len(f.Presences) == 0 {
		newest = func(ctx context.Context) *gorm.DB { return s.matching(ctx, app, form, oldest, "") }
	}
	counted = append(counted, newest)
	if oldest != nil && mayBeginID(f.Search) {
		older := func(ctx context.Context) *gorm.DB { return s.only(ctx, f, s.older(ctx, app, f.Search, *oldest)) }
		l.parts = append(l.parts, part{at: "users.created_at", id: "users.id", queries: []query{older}})
		counted = append(counted, older)
	}
	return nil
}

// oldestExamined returns the position of the oldest user whose name a search examines, or nil if it
// examines all users of the app.
func (s *Service) oldestExamined(ctx context.Context, app *models.App) (*page.Key, error) {
	counts, err := s.Counts(ctx, app)
	if err != nil || counts.Registered+counts.Deactivated <= s.reach.names {
		return nil, err
	}
	var found []*models.User
	err = s.readBy(ctx, "users_app_created").Where("app_id = ?", app.ID).Order("created_at DESC, id DESC").
		Offset(s.reach.names-1).Limit(1).Select("created_at", "id").Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, fault.Wrap(err, "limiting a search")
	}
	return &page.Key{At: found[0].CreatedAt, ID: found[0].ID}, nil
}

// matching returns the users from oldest on, under the alias found, whose names or IDs contain a text
// in its SearchForm. join is a join with other tables, or "": the query itself reads an index alone.
func (s *Service) matching(ctx context.Context, app *models.App, form string, oldest *page.Key, join string) *gorm.DB {
	query := s.db.Read(ctx).Table(s.db.Using("users AS found", "users_app_created")+" "+join).
		Where("found.app_id = ? AND INSTR(found.search_name, ?) > 0", app.ID, form)
	if oldest == nil {
		return query
	}
	newer := page.Order{At: "found.created_at", ID: "found.id", OldestFirst: true}
	return query.Where(newer.Condition(), oldest.At, oldest.At, oldest.At, oldest.ID-1)
}

// older returns the users that are older than the oldest one examined and whose ID begins with text.
func (s *Service) older(ctx context.Context, app *models.App, text string, oldest page.Key) *gorm.DB {
	prefixed := s.readBy(ctx, "users_app_external").Where("app_id = ?", app.ID).
		Where(beginsWith, text, text+afterID).Order("external_id").Limit(s.reach.ids).Select("id AS these_id")
	older := page.Order{At: "users.created_at", ID: "users.id"}
	return s.withKeys(ctx, prefixed).Where(older.Condition(), oldest.At, oldest.At, oldest.At, oldest.ID)
}

// beginsWith is the condition that an ID has a prefix. It is a range, because LIKE differs between
// databases.
const beginsWith = "external_id >= ? AND external_id < ?"

// afterID sorts after every character that an ID may have.
const afterID = "~"

// mayBeginID reports whether an ID may begin with text, that is, whether all its characters are
// allowed in IDs. MySQL treats "ann " as equal to "ann", and fails to compare text that is not
// ASCII.
func mayBeginID(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= '~' })
}
