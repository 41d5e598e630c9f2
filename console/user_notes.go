package console

import (
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

const (
	// notesOnUser is the number of notes on a user's page.
	notesOnUser = 5
	// notesPerPage is the number of notes on a page of all.
	notesPerPage = 50
)

// noteRow is a note about a user.
type noteRow struct {
	*models.UserNote
	// DeletePath is the page that asks whether to delete the note, or "" if the visitor may not.
	DeletePath string
}

// noteList is a page of the notes about a user, as shown by user_notes.html and by a user's page.
type noteList struct {
	Notes []noteRow
	// Deactivated is true if the user is deactivated, and so cannot have notes.
	Deactivated bool
	// AddPath is where the form adds a note, or "" if there is no form.
	AddPath string
	// Text is what the form contains.
	Text   string
	Errors faults
	pager
}

// MaxNote returns the maximum number of characters of a note.
func (noteList) MaxNote() int { return users.MaxNote }

// userNotesPage is the data of user_notes.html.
type userNotesPage struct {
	*userPage
	Notes *noteList
}

// userNotePage is the data of user_note.html.
type userNotePage struct {
	*userPage
	question
	Note noteRow
}

func notesPath(u userRow) string { return u.Path + "/notes" }

// mayDelete reports whether the visitor may delete the note: its own, and as an admin also those of
// others.
func (v *visit) mayDelete(n *models.UserNote) bool {
	return v.rights().Administer() || v.rights().Moderate() && n.By(v.operator.ID)
}

func (v *visit) noteRow(u userRow, n *models.UserNote) noteRow {
	row := noteRow{UserNote: n}
	if v.mayDelete(n) {
		row.DeletePath = notesPath(u) + "/" + strconv.FormatInt(n.ID, 10) + "/delete"
	}
	return row
}

// notes reads a page of the notes about the user.
func (c *console) notes(v *visit, p *userPage, r page.Request) (*noteList, *page.Info, error) {
	found, err := c.Users.Notes(v.r.Context(), p.User.User, r)
	if err != nil {
		return nil, nil, err
	}
	list := &noteList{Deactivated: p.User.DeactivatedAt != nil}
	if p.May.Moderate() && !list.Deactivated {
		list.AddPath = notesPath(p.User)
	}
	for _, n := range found.Nodes() {
		list.Notes = append(list.Notes, v.noteRow(p.User, n))
	}
	return list, found.PageInfo(), nil
}

// fillOverview reads the newest notes.
func (c *console) fillOverview(v *visit, p *userTabPage) error {
	list, info, err := c.notes(v, p.userPage, page.Request{First: notesOnUser})
	if err != nil {
		return err
	}
	if info.HasNextPage {
		list.Next = notesPath(p.User)
	}
	p.Notes = list
	return nil
}

// showUserNotes shows all notes about a user.
func (c *console) showUserNotes(v *visit) error {
	p, err := c.userNotesPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "user_notes", p)
}

func (c *console) userNotesPage(v *visit) (*userNotesPage, error) {
	p, err := c.userPage(v)
	if err != nil {
		return nil, err
	}
	p.Tab = userOverview
	request := pageBothWays(v, notesPerPage)
	list, info, err := c.notes(v, p, request)
	if err != nil {
		return nil, err
	}
	list.pager = pagerBothWays(v, request, info)
	return &userNotesPage{p, list}, nil
}

// addUserNote adds a note and redirects to the user's page. If the note is refused, it shows the form
// again.
func (c *console) addUserNote(v *visit) error {
	text := strings.TrimSpace(withoutReturns(v.r.PostFormValue("text")))
	_, err := c.Users.AddNote(v.r.Context(), v.app, v.userID(), text, c.actor(v))
	if refusal, ok := fault.As(err); ok {
		switch refusal.Code {
		case fault.InvalidArgument:
			return c.askNoteAgain(v, text, refusal)
		case fault.UserDeactivated:
			if err := c.setFlash(v, "action.refused.USER_DEACTIVATED", v.userID()); err != nil {
				return err
			}
			return v.redirect(userPath(v.app, v.userID()))
		}
	}
	if err != nil {
		return err
	}
	if err := c.setFlash(v, "note.add.done", v.userID()); err != nil {
		return err
	}
	return v.redirect(userPath(v.app, v.userID()))
}

// askNoteAgain shows the form with what is wrong.
func (c *console) askNoteAgain(v *visit, text string, refusal *fault.Error) error {
	p, err := c.userNotesPage(v)
	if err != nil {
		return err
	}
	p.Notes.Text, p.Notes.Errors = strings.ToValidUTF8(text, "\uFFFD"), faultOf("note", "note.wrong")
	if rule := refusal.Rule(); rule != nil && *rule == "max" {
		p.Notes.Errors.set("note", "note.wrong.long", "count", users.MaxNote)
	}
	return c.render(v, http.StatusUnprocessableEntity, "user_notes", p)
}

// askDeleteUserNote shows a note and asks whether to delete it, or says that the visitor may not.
func (c *console) askDeleteUserNote(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(v.r.PathValue("note"), 10, 64)
	if err != nil {
		return c.notFound(v)
	}
	n, err := c.Users.Note(v.r.Context(), p.User.User, id)
	if err != nil {
		return err
	}
	if n == nil {
		return c.notFound(v)
	}
	row := v.noteRow(p.User, n)
	q := question{Path: row.DeletePath, Back: p.User.Path, Fits: row.DeletePath != "", Danger: true}
	return c.show(v, "user_note", userNotePage{p, q, row})
}

// errOthersNote is the console's text for what the rule refuses.
var errOthersNote = problem{http.StatusForbidden, "note.delete.others"}

// deleteUserNote deletes a note and redirects to the user's page.
func (c *console) deleteUserNote(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("note"), 10, 64)
	if err != nil {
		return c.notFound(v)
	}
	deleted, err := c.Users.DeleteNote(v.r.Context(), v.app, v.userID(), id, v.rights().Administer(), c.actor(v))
	if fault.CodeOf(err) == fault.Forbidden {
		return errOthersNote
	}
	if err != nil {
		return err
	}
	text := "note.delete.done"
	if !deleted {
		text = "note.delete.already"
	}
	if err := c.setFlash(v, text, v.userID()); err != nil {
		return err
	}
	return v.redirect(userPath(v.app, v.userID()))
}
