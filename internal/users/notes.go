package users

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// MaxNote is the maximum number of characters of a note.
const MaxNote = 2000

// NoteConnection is one page of the notes about a user.
type NoteConnection = page.Connection[*models.UserNote]

// Notes returns a page of the notes about the user, the newest first. Returns INVALID_ARGUMENT for a
// cursor of another list.
func (s *Service) Notes(ctx context.Context, u *models.User, r page.Request) (*NoteConnection, error) {
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	order := page.Order{List: "notes", Owner: u.ID, Secret: s.keys.Secret(), At: "created_at", ID: "id"}
	rows, err := order.Limit(s.db.Read(ctx).Where("user_id = ?", u.ID), r)
	if err != nil {
		return nil, err
	}
	var notes []*models.UserNote
	if err := rows.Find(&notes).Error; err != nil {
		return nil, fmt.Errorf("listing notes: %w", err)
	}
	keys := make([]page.Key, len(notes))
	for i, n := range notes {
		keys[i] = page.Key{At: n.CreatedAt, ID: n.ID}
	}
	total := func(ctx context.Context) (int, error) {
		var n int64
		err := s.db.Read(ctx).Model(&models.UserNote{}).Where("user_id = ?", u.ID).Count(&n).Error
		return int(n), fault.Wrap(err, "counting notes")
	}
	return page.Of(order, r, notes, keys, total), nil
}

// Note returns the note about the user with that user_notes.id, or nil if there is none.
func (s *Service) Note(ctx context.Context, u *models.User, id int64) (*models.UserNote, error) {
	var notes []*models.UserNote
	err := s.db.Read(ctx).Where("id = ? AND user_id = ?", id, u.ID).Limit(1).Find(&notes).Error
	if err != nil || len(notes) == 0 {
		return nil, fault.Wrap(err, "reading a note")
	}
	return notes[0], nil
}

// CheckNote returns INVALID_ARGUMENT unless text may be a note: 1 to MaxNote characters of UTF-8,
// one of them visible, and no control characters except line breaks and tabs.
func CheckNote(text string) error {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	switch {
	case !utf8.ValidString(text):
		return fault.Invalid("text", "utf8", "text must be UTF-8")
	case utf8.RuneCountInString(text) > MaxNote:
		return fault.Invalid("text", "max", "text must have at most %d characters", MaxNote)
	case !validate.HasVisible(text):
		return fault.Invalid("text", "notblank", "text must have at least one visible character")
	case strings.ContainsFunc(text, control):
		return fault.Invalid("text", "nocontrol", "text must not contain control characters except line breaks and tabs")
	}
	return nil
}

// AddNote adds a note about a user. It is audited without its text. Returns the error of CheckNote,
// USER_NOT_FOUND, and USER_DEACTIVATED, because nothing may be stored about such a user.
func (s *Service) AddNote(ctx context.Context, app *models.App, id, text string, by models.Actor) (*models.UserNote, error) {
	if err := CheckNote(text); err != nil {
		return nil, err
	}
	var note *models.UserNote
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		u, err := lockOne(tx, app, id)
		if err != nil {
			return err
		}
		if u.DeactivatedAt != nil {
			return userlock.Deactivated(id)
		}
		note = &models.UserNote{UserID: u.ID, CreatedAt: s.now(), Author: audit.ActorName(by), AuthorID: by.OperatorID, Text: text}
		if err := tx.Create(note).Error; err != nil {
			return err
		}
		return audit.Write(tx, s.entry(app, by, audit.ActionUserAddNote, id, noteDetail(note.ID)))
	})
	if err != nil {
		return nil, fault.Wrap(err, "adding a note")
	}
	return note, nil
}

// DeleteNote deletes the note about a user with that user_notes.id. deleted is false if there is no
// such note. Unless ofOthers is true, the note must be the actor's own. Returns USER_NOT_FOUND, and
// FORBIDDEN for the note of another operator.
func (s *Service) DeleteNote(ctx context.Context, app *models.App, id string, noteID int64, ofOthers bool, by models.Actor) (deleted bool, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		deleted = false
		u, err := lockOne(tx, app, id)
		if err != nil {
			return err
		}
		var notes []*models.UserNote
		if err := tx.Where("id = ? AND user_id = ?", noteID, u.ID).Limit(1).Find(&notes).Error; err != nil || len(notes) == 0 {
			return err
		}
		if !ofOthers && !notes[0].By(by.OperatorID) {
			return fault.New(fault.Forbidden, "the note is another operator's")
		}
		if err := tx.Delete(notes[0]).Error; err != nil {
			return err
		}
		deleted = true
		return audit.Write(tx, s.entry(app, by, audit.ActionUserDeleteNote, id, noteDetail(noteID)))
	})
	return deleted, fault.Wrap(err, "deleting a note")
}

// noteDetail identifies a note in the audit, so that the author of a deleted one is known.
func noteDetail(id int64) string { return fmt.Sprintf("note=%d", id) }

// lockOne reads and locks one user of the app. Returns USER_NOT_FOUND if there is none.
func lockOne(tx *gorm.DB, app *models.App, id string) (*models.User, error) {
	found, err := userlock.Lock(tx, app, []string{id})
	if err != nil {
		return nil, err
	}
	if found[id] == nil {
		return nil, userlock.Unknown(id)
	}
	return found[id], nil
}

// eraseNotes deletes the notes about the users.
func eraseNotes(tx *gorm.DB, gone []*models.User) error {
	err := tx.Where("user_id IN ?", userlock.Keys(gone)).Delete(&models.UserNote{}).Error
	return fault.Wrap(err, "erasing notes")
}
