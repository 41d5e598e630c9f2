package console

import (
	"slices"
	"strconv"

	"rollcall/models"
)

// operatorsPath is the page that lists the operators.
const operatorsPath = Root + "operators"

// operatorsPage is the data of operators.html.
type operatorsPage struct {
	Operators []operatorRow
	May       rights
	// Invite is true if the visitor may invite operators.
	Invite bool
	// Invitations are the open ones, which only owners see.
	Invitations []invitationRow
	// InvitePath is the path of the form that invites an operator. Name and Form are its values, and
	// what is wrong with them.
	InvitePath string
	Name       string
	Form       grantForm
}

type operatorRow struct {
	*models.Operator
	Path  string
	Scope scope
}

// passwordPage is the data of operator_password.html: a password that was just made; see reveal.
type passwordPage struct {
	Name     string
	Role     models.Role
	Password string
	NextPath string
}

func operatorPath(o *models.Operator) string {
	return operatorsPath + "/" + strconv.FormatInt(o.ID, 10)
}

func (c *console) listOperators(v *visit) error {
	p, err := c.operatorsPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "operators", p)
}

func (c *console) operatorsPage(v *visit) (*operatorsPage, error) {
	list, err := c.Operators.List(v.r.Context())
	if err != nil {
		return nil, err
	}
	apps, err := c.appsOf(v)
	if err != nil {
		return nil, err
	}
	p := &operatorsPage{InvitePath: invitationsPath, May: v.rights()}
	p.Invite = p.May.Own() && c.Operators.LocalLogin()
	for _, o := range list {
		p.Operators = append(p.Operators, operatorRow{o, operatorPath(o), scopeOf(apps, o.Grant)})
	}
	if !p.May.Own() {
		return p, nil
	}
	invitations, err := c.Operators.Invitations(v.r.Context())
	if err != nil {
		return nil, err
	}
	for _, i := range invitations {
		p.Invitations = append(p.Invitations, c.invitationRow(apps, i))
	}
	p.Form, err = c.grantForm(v, models.Grant{Role: models.RoleViewer, AllApps: true})
	return p, err
}

// operatorPage is the data of operator.html and operator_action.html.
type operatorPage struct {
	Operator    operatorRow
	SessionPath string
	Sessions    []sessionRow
	Logins      []auditRow
	sessionTimes
	// Session is the session that an action is about, or nil.
	Session *sessionRow
	// Keys are the operator's API keys, which only owners see. Key is the one that an action is about,
	// or nil.
	Keys    []keyRow
	Key     *keyRow
	KeyPath string
	// Own is true if this is the visitor's account.
	Own bool
	May rights
}

// BySSO reports whether the operator logs in by SSO.
func (p *operatorPage) BySSO() bool { return p.Operator.BySSO() }

// MayEnd reports whether the visitor may end the sessions.
func (p *operatorPage) MayEnd() bool { return p.May.Own() }

// Actions returns the actions that fit the operator.
func (p *operatorPage) Actions() []*operatorAction {
	return slices.DeleteFunc(slices.Clone(operatorActions), func(a *operatorAction) bool { return !a.fits(p) })
}

// operator returns the operator in the path, or a problem if the operator is unknown.
func (c *console) operator(v *visit) (*models.Operator, error) {
	list, err := c.Operators.List(v.r.Context())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(o *models.Operator) bool { return strconv.FormatInt(o.ID, 10) == v.r.PathValue("operator") })
	if at < 0 {
		return nil, c.notFound(v)
	}
	return list[at], nil
}

func (c *console) showOperator(v *visit) error {
	p, err := c.operatorPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "operator", p)
}

// operatorPage reads the operator in the path with its sessions.
func (c *console) operatorPage(v *visit) (*operatorPage, error) {
	o, err := c.operator(v)
	if err != nil {
		return nil, err
	}
	rows, err := c.sessions(v, o.ID)
	if err != nil {
		return nil, err
	}
	logins, err := c.logins(v, o)
	if err != nil {
		return nil, err
	}
	apps, err := c.appsOf(v)
	if err != nil {
		return nil, err
	}
	path := operatorPath(o)
	p := &operatorPage{
		Operator: operatorRow{o, path, scopeOf(apps, o.Grant)}, SessionPath: path + "/end-session", Sessions: rows, Logins: logins,
		KeyPath: path + "/revoke-key", Own: o.ID == v.operator.ID, May: v.rights(),
	}
	if p.May.Own() {
		p.Keys, err = c.keys(v, apps, o)
	}
	return p, err
}
