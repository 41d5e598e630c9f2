package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/fault"
	"rollcall/models"
)

// operatorsPath is where the operators are.
const operatorsPath = Root + "operators"

// operatorsPage is what operators.html shows.
type operatorsPage struct {
	Path      string
	Operators []operatorRow
	MayChange bool
	// What the form holds, and what is wrong with it.
	Name, Role        string
	WrongField, Wrong string
}

// Roles are the choices.
func (*operatorsPage) Roles() []models.Role {
	return []models.Role{models.RoleViewer, models.RoleAdmin}
}

type operatorRow struct {
	*models.Operator
	Path string
}

// passwordPage is what operator_password.html shows: a password that was just
// made, on this one answer and nowhere else.
type passwordPage struct {
	// Title is the text that says why there is a password.
	Title, Name string
	Role        models.Role
	Password    string
	// NextPath is where to go from here, and Next the text that says so.
	NextPath, Next string
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
	p := &operatorsPage{Path: operatorsPath, MayChange: v.operator.Role == models.RoleAdmin, Role: string(models.RoleViewer)}
	for _, o := range list {
		p.Operators = append(p.Operators, operatorRow{o, operatorPath(o)})
	}
	return p, nil
}

// createOperator makes an operator and shows its password.
func (c *console) createOperator(v *visit) error {
	name, role := strings.TrimSpace(v.r.PostFormValue("name")), v.r.PostFormValue("role")
	password, err := c.Operators.Create(v.r.Context(), name, models.Role(role), "", c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		p, err := c.operatorsPage(v)
		if err != nil {
			return err
		}
		p.Name, p.Role = name, role
		p.WrongField, p.Wrong = wrongPassword(v, refusal)
		return c.render(v, http.StatusUnprocessableEntity, "operators", p)
	}
	if err != nil {
		return err
	}
	return c.show(v, "operator_password", passwordPage{
		Title: "operator.made", Name: name, Role: models.Role(role), Password: password,
		NextPath: operatorsPath, Next: "operators.all",
	})
}

// operatorPage is what operator.html and operator_action.html show.
type operatorPage struct {
	Operator    operatorRow
	SessionPath string
	Sessions    []sessionRow
	// Session is the one that an action is about, nil where it is about none.
	Session *sessionRow
	// Own: it is the visitor's account.
	Own       bool
	MayChange bool
}

// MayEnd: the visitor may end the sessions.
func (p *operatorPage) MayEnd() bool { return p.MayChange }

// Actions are those that fit the operator as it is.
func (p *operatorPage) Actions() []*operatorAction {
	return slices.DeleteFunc(slices.Clone(operatorActions), func(a *operatorAction) bool { return !a.fits(p) })
}

// operator answers the operator in the path; an unknown one is a problem.
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
	path := operatorPath(o)
	return &operatorPage{
		Operator: operatorRow{o, path}, SessionPath: path + "/end-session", Sessions: rows,
		Own: o.ID == v.operator.ID, MayChange: v.operator.Role == models.RoleAdmin,
	}, nil
}
