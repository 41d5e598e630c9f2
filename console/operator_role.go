package console

import (
	"net/http"
)

// changeRole is the action that changes an operator's role and apps. It needs more than a
// confirmation, so it has a page of its own.
var changeRole = &operatorAction{
	Name: "role",
	fits: func(p *operatorPage) bool { return !p.Own },
}

// rolePage is the data of operator_role.html.
type rolePage struct {
	*operatorPage
	Form grantForm
}

func (c *console) askRole(v *visit) error {
	p, err := c.operatorPage(v)
	if err != nil {
		return err
	}
	form, err := c.grantForm(v, p.Operator.Grant)
	if err != nil {
		return err
	}
	return c.show(v, "operator_role", rolePage{p, form})
}

// setRole changes the operator's role and apps.
func (c *console) setRole(v *visit) error {
	p, err := c.operatorPage(v)
	if err != nil {
		return err
	}
	form, grant, err := c.readGrant(v)
	if err != nil {
		return err
	}
	changed, err := c.Operators.SetRole(v.r.Context(), p.Operator.Name, grant, c.actor(v))
	if refusal := refusalOf(err); refusal != nil && refusal.Extensions["field"] != "operator" {
		form.WrongField, form.Wrong = wrongPassword(v, refusal)
		return c.render(v, http.StatusUnprocessableEntity, "operator_role", rolePage{p, form})
	}
	text := "operator.role.already"
	if changed {
		text = "operator.role.done"
	}
	return c.showOperatorResult(v, p, text, err)
}
