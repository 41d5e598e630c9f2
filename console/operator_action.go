package console

import "strconv"

// operatorAction is something an owner does to one operator: a page that asks for confirmation, and
// a form that does it. The name ends its path and begins the keys of its texts.
type operatorAction struct {
	Name string
	// Danger marks an action that cannot be undone.
	Danger bool
	// fits reports whether the action would change the operator.
	fits func(*operatorPage) bool
	// do returns the key of the message about the result, or "" if it has responded itself.
	do func(*console, *visit, *operatorPage) (text string, err error)
}

// operatorActions are the actions on an operator's page, in this order; the page shows those that
// fit. The lists of sessions and of API keys offer to end a single one.
var (
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
	revokeOperatorKey = &operatorAction{
		Name:   "revoke-key",
		Danger: true,
		fits:   func(p *operatorPage) bool { return p.Key != nil },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			return c.revokeKey(v, p.Operator.ID)
		},
	}
	resetPassword = &operatorAction{
		Name: "password",
		fits: func(p *operatorPage) bool { return !p.Own && !p.Operator.BySSO() },
		do:   (*console).resetPassword,
	}
	resetSecondFactor = &operatorAction{
		Name: "reset-second-factor",
		fits: func(p *operatorPage) bool { return !p.Own && p.Operator.HasSecondFactor },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			reset, err := c.Operators.ResetSecondFactor(v.r.Context(), p.Operator.Name, c.actor(v))
			if reset {
				return "operator.reset-second-factor.done", err
			}
			return "operator.reset-second-factor.already", err
		},
	}
	deleteOperator = &operatorAction{
		Name:   "delete",
		Danger: true,
		fits:   func(p *operatorPage) bool { return !p.Own },
		do: func(c *console, v *visit, p *operatorPage) (string, error) {
			return "operator.delete.done", c.Operators.Delete(v.r.Context(), p.Operator.Name, c.actor(v))
		},
	}
	operatorActions = []*operatorAction{changeRole, endOperatorSessions, resetPassword, resetSecondFactor, deleteOperator}
)

// operatorActionPage is the data of operator_action.html.
type operatorActionPage struct {
	*operatorPage
	question
	Action *operatorAction
}

// askOperator returns a handler that shows what the action will do, with a button that does it.
func askOperator(a *operatorAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.operatorPage(v)
		if err != nil {
			return err
		}
		p.Session = p.session(v.r.URL.Query().Get("session"))
		p.Key = keyNamed(p.Keys, v.r.URL.Query().Get(keyField))
		ask := question{Path: v.r.URL.EscapedPath(), Back: p.Operator.Path, Fits: a.fits(p), Danger: a.Danger}
		return c.show(v, "operator_action", operatorActionPage{p, ask, a})
	}
}

// actOnOperator returns a handler that carries out the action and redirects to the operator, or to
// the list if the operator is deleted. That page shows the result.
func actOnOperator(a *operatorAction) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.operatorPage(v)
		if err != nil {
			return err
		}
		text, err := a.do(c, v, p)
		if text == "" && err == nil {
			return nil
		}
		return c.showOperatorResult(v, p, text, err)
	}
}

// showOperatorResult redirects to a page with a message: the text, or the rule if err is a refusal
// about the operator.
func (c *console) showOperatorResult(v *visit, p *operatorPage, text string, err error) error {
	if refusal := refusalOf(err); refusal != nil && refusal.Extensions["field"] == "operator" {
		rule, _ := refusal.Extensions["rule"].(string)
		text, err = "operator.refused."+rule, nil
	}
	if err != nil {
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

// session returns the operator's session with that ID, or nil if there is none.
func (p *operatorPage) session(id string) *sessionRow {
	for i, s := range p.Sessions {
		if strconv.FormatInt(s.ID, 10) == id {
			return &p.Sessions[i]
		}
	}
	return nil
}

// resetPassword gives an operator a new password and reveals it. This ends the operator's sessions.
func (c *console) resetPassword(v *visit, p *operatorPage) (string, error) {
	password, err := c.Operators.SetPassword(v.r.Context(), p.Operator.Name, "", c.actor(v))
	if err != nil {
		return "", err
	}
	return "", c.reveal(v, "operator_password", passwordPage{
		Name: p.Operator.Name, Role: p.Operator.Role, Password: password, NextPath: p.Operator.Path,
	})
}
