package console

import (
	"strings"

	"rollcall/models"
)

// loginsShown is how many logins the list on an operator's page has.
const loginsShown = 20

// client is the program that a visitor uses, as far as it names itself.
type client struct{ Browser, OS string }

// clientNamed returns the client with a name of operators.ClientOf.
func clientNamed(name string) client {
	browser, os, _ := strings.Cut(name, " on ")
	return client{browser, os}
}

// loginFacts are how an operator logged in.
type loginFacts struct {
	Method models.LoginMethod
	Client client
}

// Client returns the program that a login, failed or not, was sent by.
func (r auditRow) Client() client {
	if login := r.Login(); login != nil {
		return login.Client
	}
	return clientNamed(r.Failures().Client)
}

// logins returns the last logins of an operator, and the failed ones.
func (c *console) logins(v *visit, operator *models.Operator) ([]auditRow, error) {
	list, err := c.Audit.Logins(v.r.Context(), operator, loginsShown)
	return auditRows(nil, list), err
}
