package users

import (
	"context"
	"fmt"
	"strings"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// cursorList names the list of an app's users in its cursors.
const cursorList = "users"

// afterID sorts after every character of an ID, so that the IDs with a prefix are
// the range from it to it + afterID: unlike LIKE, the same on every database.
const afterID = "~"

// Query says which users of an app to list.
type Query struct {
	// First is the size of the page, 1 to 100.
	First int
	// After is the Next of the page before; empty: from the start.
	After string
	// Search keeps users whose ID begins with it or whose name has it in it,
	// without regard to case in the name; empty: all.
	Search string
}

// Page is one page of users, newest first.
type Page struct {
	Users []*models.User
	// Next is the cursor of the next page; empty on the last.
	Next string
	// Total is how many users the app has, whatever the search.
	Total int
}

// Page answers one page of an app's users. Errors: INVALID_ARGUMENT for a cursor
// that is none of this list.
func (s *Service) Page(ctx context.Context, app *models.App, q Query) (*Page, error) {
	rows := s.db.Read(ctx).Where("app_id = ?", app.ID)
	if q.After != "" {
		key, err := page.Decode(cursorList, app.ID, q.After)
		if err != nil {
			return nil, fault.Invalid("after", "cursor", "after: %s", err)
		}
		rows = rows.Where("created_at <= ? AND (created_at < ? OR id < ?)", key.At, key.At, key.ID)
	}
	if q.Search != "" {
		inName := "%" + escapeLike(models.SearchForm(q.Search)) + "%"
		if database.IsASCII(q.Search) {
			rows = rows.Where("(external_id >= ? AND external_id < ? OR search_name LIKE ? ESCAPE '!')",
				q.Search, q.Search+afterID, inName)
		} else {
			rows = rows.Where("search_name LIKE ? ESCAPE '!'", inName)
		}
	}
	out := &Page{Total: app.RegisteredUserCount}
	// One more than asked says whether there is a next page.
	err := rows.Order("created_at DESC, id DESC").Limit(q.First + 1).Find(&out.Users).Error
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	if len(out.Users) > q.First {
		out.Users = out.Users[:q.First]
		last := out.Users[q.First-1]
		out.Next = page.Encode(cursorList, app.ID, page.Key{At: last.CreatedAt, ID: last.ID})
	}
	return out, nil
}

// escapeLike makes text stand for itself in a LIKE … ESCAPE '!'.
func escapeLike(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}
