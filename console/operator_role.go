package console

import (
	"fmt"
	"net/http"

	"rollcall/models"
)

// changeRole is the action that changes an operator's role and apps. It needs more than a
// confirmation, so it has a page of its own.
var changeRole = &operatorAction{
	Name: "role",
	fits: func(p *operatorPage) bool { return !p.Own && !p.Operator.BySSO() },
}

// rolePage is the data of operator_role.html.
type rolePage struct {
	*operatorPage
	question
	Form grantForm
	// Version is the role and the apps that the form replaces.
	Version string
	// Stale is true if they were changed since the form was loaded.
	Stale bool
	// Now has the present role and apps if Stale is true.
	Now grantForm
}

// role returns the frame of the page that asks for the operator's role.
func (p *operatorPage) role() question {
	return question{Path: p.Operator.Path + "/" + changeRole.Name, Back: p.Operator.Path, Fits: changeRole.fits(p)}
}

// grantVersion identifies a role and its apps.
func grantVersion(g models.Grant) string { return fmt.Sprint(g.Role, g.AllApps, g.AppIDs) }

func (c *console) askRole(v *visit) error {
	p, err := c.operatorPage(v)
	if err != nil {
		return err
	}
	form, err := c.grantForm(v, p.Operator.Grant)
	if err != nil {
		return err
	}
	return c.show(v, "operator_role", rolePage{operatorPage: p, question: p.role(), Form: form, Version: grantVersion(p.Operator.Grant)})
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
	if seen, now := v.r.PostFormValue("version"), grantVersion(p.Operator.Grant); seen != "" && seen != now && grantVersion(grant) != now {
		present, err := c.grantForm(v, p.Operator.Grant)
		if err != nil {
			return err
		}
		return c.render(v, http.StatusConflict, "operator_role", rolePage{operatorPage: p, question: p.role(), Form: form, Version: now, Stale: true, Now: present})
	}
	changed, err := c.Operators.SetRole(v.r.Context(), p.Operator.Name, grant, c.actor(v))
	if refusal := refusalOf(err); refusal != nil && refusal.Extensions["field"] != "operator" {
		form.Errors = faultsOf(v, err)
		return c.render(v, http.StatusUnprocessableEntity, "operator_role", rolePage{operatorPage: p, question: p.role(), Form: form, Version: v.r.PostFormValue("version")})
	}
	text := "operator.role.already"
	if changed {
		text = "operator.role.done"
	}
	return c.showOperatorResult(v, p, text, err)
}
