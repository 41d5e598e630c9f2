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
	Name, Password, Back string
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
	return c.show(v, "operator_password", passwordPage{name, password, operatorsPath})
}

// operatorPage is what operator.html shows.
type operatorPage struct {
	Operator    operatorRow
	SessionPath string
	Sessions    []sessionRow
	MayChange   bool
}

// MayEnd: the visitor may end the sessions.
func (p *operatorPage) MayEnd() bool { return p.MayChange }

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
	o, err := c.operator(v)
	if err != nil {
		return err
	}
	rows, err := c.sessions(v, o.ID)
	if err != nil {
		return err
	}
	path := operatorPath(o)
	return c.show(v, "operator", &operatorPage{
		Operator: operatorRow{o, path}, SessionPath: path + "/end-session", Sessions: rows,
		MayChange: v.operator.Role == models.RoleAdmin,
	})
}

// resetPassword gives an operator a new password, which ends its sessions, and
// shows it. One's own session goes on.
func (c *console) resetPassword(v *visit) error {
	o, err := c.operator(v)
	if err != nil {
		return err
	}
	var keep int64
	if o.ID == v.operator.ID {
		keep = v.session.ID
	}
	password, err := c.Operators.SetPassword(v.r.Context(), o.Name, "", keep, c.actor(v))
	if err != nil {
		return err
	}
	return c.show(v, "operator_password", passwordPage{o.Name, password, operatorPath(o)})
}

// endOperatorSession ends a session of another operator.
func (c *console) endOperatorSession(v *visit) error {
	o, err := c.operator(v)
	if err != nil {
		return err
	}
	return c.endSession(v, o.ID, operatorPath(o))
}
