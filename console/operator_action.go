package console

import (
	"errors"
	"strconv"

	"rollcall/internal/fault"
	"rollcall/models"
)

// operatorAction is something an admin does to one operator: a page that asks, and
// a form that does it. The name ends its path and begins its texts.
type operatorAction struct {
	Name string
	// Danger marks what cannot be taken back.
	Danger bool
	// fits says whether there is anything to do to the operator as it is.
	fits func(*operatorPage) bool
	// do answers the text of what has happened, "" where it has answered itself.
	do func(*console, *visit, *operatorPage) (text string, err error)
}

// operatorActions are what an operator's page offers, in this order, where they
// fit. Ending one session is offered beside it.
var (
	makeAdmin          = roleAction("make-admin", models.RoleAdmin)
	makeViewer         = roleAction("make-viewer", models.RoleViewer)
	endOperatorSession = &operatorAction{
		Name: "end-session",
		fits: func(p *operatorPage) bool { return p.Session != nil && !p.Session.Own },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			return c.endSession(v, p.Operator.ID)
		},
	}
	endOperatorSessions = &operatorAction{
		Name: "end-sessions",
		fits: func(p *operatorPage) bool { return others(p.Sessions) > 0 },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			return c.endSessions(v, p.Operator.ID)
		},
	}
	resetPassword = &operatorAction{
		Name: "password",
		fits: func(p *operatorPage) bool { return !p.Own },
		do:   (*console).resetPassword,
	}
	deleteOperator = &operatorAction{
		Name:   "delete",
		Danger: true,
		fits:   func(p *operatorPage) bool { return !p.Own },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			return "operator.delete.done", c.Operators.Delete(v.r.Context(), p.Operator.Name, c.actor(v))
		},
	}
	operatorActions = []*operatorAction{makeAdmin, makeViewer, endOperatorSessions, resetPassword, deleteOperator}
)

// roleAction is giving an operator that role.
func roleAction(name string, role models.Role) *operatorAction {
	return &operatorAction{
		Name: name,
		fits: func(p *operatorPage) bool { return !p.Own && p.Operator.Role != role },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			changed, err := c.Operators.SetRole(v.r.Context(), p.Operator.Name, role, c.actor(v))
			if changed {
				return "operator." + name + ".done", err
			}
			return "operator." + name + ".already", err
		},
	}
}

// operatorActionPage is what operator_action.html shows.
type operatorActionPage struct {
	*operatorPage
	Action *operatorAction
	// Fits: there is something to do.
	Fits bool
}

// askOperator answers the page that says what an action will do, with the button
// that does it.
func askOperator(a *operatorAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.operatorPage(v)
		if err != nil {
			return err
		}
		p.Session = p.session(v.r.URL.Query().Get("session"))
		return c.show(v, "operator_action", operatorActionPage{p, a, a.fits(p)})
	}
}

// actOnOperator carries an action out and leads back to the operator, or where
// there is none any more to the others, where it says what has happened.
func actOnOperator(a *operatorAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.operatorPage(v)
		if err != nil {
			return err
		}
		text, err := a.do(c, v, p)
		var refusal *fault.Error
		if errors.As(err, &refusal) && refusal.Extensions["field"] == "operator" {
			rule, _ := refusal.Extensions["rule"].(string)
			text, err = "operator.refused."+rule, nil
		}
		if err != nil || text == "" {
			return err
		}
		if err := c.setFlash(v, text, p.Operator.Name); err != nil {
			return err
		}
		switch text {
		case "operator.delete.done":
			return v.redirect(operatorsPath)
		case "operator.refused.own_password":
			return v.redirect(accountPath)
		}
		return v.redirect(p.Operator.Path)
	}
}

// session answers the operator's session with that ID, nil where there is none.
func (p *operatorPage) session(id string) *sessionRow {
	for i, s := range p.Sessions {
		if strconv.FormatInt(s.ID, 10) == id {
			return &p.Sessions[i]
		}
	}
	return nil
}

// resetPassword gives an operator a new password, which ends its sessions, and
// shows it.
func (c *console) resetPassword(v *visit, p *operatorPage) (string, error) {
	password, err := c.Operators.SetPassword(v.r.Context(), p.Operator.Name, "", c.actor(v))
	if err != nil {
		return "", err
	}
	return "", c.show(v, "operator_password", passwordPage{
		Title: "operator.password", Name: p.Operator.Name, Role: p.Operator.Role, Password: password,
		NextPath: p.Operator.Path, Next: "operator.back",
	})
}
