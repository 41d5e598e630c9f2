package console

import (
	"net/http"
	"slices"
	"strconv"

	"rollcall/models"
)

// sessionRow is a session in a list.
type sessionRow struct {
	*models.OperatorSession
	// Own is the one that the page is seen with.
	Own bool
}

// others is how many of the sessions are not the one that the page is seen with.
func others(rows []sessionRow) int {
	n := len(rows)
	if slices.ContainsFunc(rows, func(s sessionRow) bool { return s.Own }) {
		n--
	}
	return n
}

// sessions answers an operator's sessions that have not ended.
func (c *console) sessions(v *visit, operatorID int64) ([]sessionRow, error) {
	list, err := c.Operators.ListSessions(v.r.Context(), operatorID)
	if err != nil {
		return nil, err
	}
	rows := make([]sessionRow, len(list))
	for i, s := range list {
		rows[i] = sessionRow{s, s.ID == v.session.ID}
	}
	return rows, nil
}

// ownSession answers the session that is to go on when all of an operator's end:
// the visitor's own, 0 where the operator is somebody else.
func (c *console) ownSession(v *visit, operatorID int64) int64 {
	if operatorID == v.operator.ID {
		return v.session.ID
	}
	return 0
}

// endSession ends the operator's session that the form names, and answers the text
// of what has happened.
func (c *console) endSession(v *visit, operatorID int64) (text string, err error) {
	id, err := strconv.ParseInt(v.r.PostFormValue("session"), 10, 64)
	if err != nil {
		return "", problem{http.StatusBadRequest, "error.invalid"}
	}
	ended, err := c.Operators.EndSession(v.r.Context(), operatorID, id, c.actor(v))
	if ended {
		return "session.done", err
	}
	return "session.gone", err
}

// endSessions ends all of the operator's sessions but the visitor's own, and
// answers the text of what has happened.
func (c *console) endSessions(v *visit, operatorID int64) (text string, err error) {
	ended, err := c.Operators.EndSessions(v.r.Context(), operatorID, c.ownSession(v, operatorID), c.actor(v))
	if ended > 0 {
		return "sessions.done", err
	}
	return "sessions.gone", err
}

// endSessionPage is what end_session.html shows: the question before one's own
// sessions end.
type endSessionPage struct {
	// All: not one is to end, but all but the one that the page is seen with.
	All bool
	// Session is the one to end, nil where it is not there any more.
	Session *sessionRow
	// Path is where the form goes, and Back where the sessions are.
	Path, Back string
	// Fits: there is something to end.
	Fits bool
}

func (c *console) askEndSession(v *visit) error {
	rows, err := c.sessions(v, v.operator.ID)
	if err != nil {
		return err
	}
	p := endSessionPage{Path: v.r.URL.EscapedPath(), Back: accountPath}
	id := v.r.URL.Query().Get("session")
	at := slices.IndexFunc(rows, func(s sessionRow) bool { return strconv.FormatInt(s.ID, 10) == id })
	if at >= 0 {
		p.Session, p.Fits = &rows[at], !rows[at].Own
	}
	return c.show(v, "end_session", p)
}

func (c *console) askEndSessions(v *visit) error {
	rows, err := c.sessions(v, v.operator.ID)
	if err != nil {
		return err
	}
	return c.show(v, "end_session", endSessionPage{All: true, Path: v.r.URL.EscapedPath(), Back: accountPath, Fits: others(rows) > 0})
}

// endOwnSessions ends one of the visitor's sessions, or all others.
func endOwnSessions(end func(*console, *visit, int64) (string, error)) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		text, err := end(c, v, v.operator.ID)
		if err != nil {
			return err
		}
		if err := c.setFlash(v, text, v.operator.Name); err != nil {
			return err
		}
		return v.redirect(accountPath)
	}
}
