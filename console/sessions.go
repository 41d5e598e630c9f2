package console

import (
	"net/http"
	"slices"
	"strconv"

	"rollcall/internal/operators"
	"rollcall/models"
)

// sessionRow is a session in a list.
type sessionRow struct {
	*models.OperatorSession
	// Own is true for the session of this request.
	Own bool
}

// Client returns the program that the session was begun with.
func (s sessionRow) Client() client { return clientNamed(operators.ClientOf(s.UserAgent)) }

// sessionTimes are when sessions end, for a text.
type sessionTimes struct{}

// IdleHours returns after how many hours an unused session ends.
func (sessionTimes) IdleHours() int { return int(operators.SessionIdle.Hours()) }

// Days returns how many days after its login a session ends.
func (sessionTimes) Days() int { return int(operators.SessionLifetime.Hours() / 24) }

// others returns how many sessions are not the session of this request.
func others(rows []sessionRow) int {
	n := len(rows)
	if slices.ContainsFunc(rows, func(s sessionRow) bool { return s.Own }) {
		n--
	}
	return n
}

// sessions returns an operator's sessions that have not ended.
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

// ownSession returns the ID of the session that stays when all sessions of the operator end: the
// visitor's own, or 0 if the operator is not the visitor.
func (c *console) ownSession(v *visit, operatorID int64) int64 {
	if operatorID == v.operator.ID {
		return v.session.ID
	}
	return 0
}

// endSession ends the operator's session that the form names, and returns the key of the message
// about the result.
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

// endSessions ends all of the operator's sessions except the visitor's own, and returns the key of
// the message about the result.
func (c *console) endSessions(v *visit, operatorID int64) (text string, err error) {
	ended, err := c.Operators.EndSessions(v.r.Context(), operatorID, c.ownSession(v, operatorID), c.actor(v))
	if ended > 0 {
		return "sessions.done", err
	}
	return "sessions.gone", err
}

// endSessionPage is the data of end_session.html, which asks before the visitor's sessions are
// ended.
type endSessionPage struct {
	question
	// All is true if all sessions except the one of this request are to end.
	All bool
	// Session is the session to end, or nil if it no longer exists.
	Session *sessionRow
}

func (c *console) askEndSession(v *visit) error {
	rows, err := c.sessions(v, v.operator.ID)
	if err != nil {
		return err
	}
	p := endSessionPage{question: question{Path: v.r.URL.EscapedPath(), Back: accountPath}}
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
	ask := question{Path: v.r.URL.EscapedPath(), Back: accountPath, Fits: others(rows) > 0}
	return c.show(v, "end_session", endSessionPage{question: ask, All: true})
}

// endOwnSessions returns a handler that calls end for the visitor.
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
