package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/operators"
	"rollcall/models"
)

const (
	// newKeyPath is the page that makes an API key.
	newKeyPath = accountPath + "/api-keys/new"
	// revokeKeyPath is the page that revokes one of the visitor's keys.
	revokeKeyPath = accountPath + "/api-keys/revoke"
	// keyField is the field with the ID of a key to revoke.
	keyField = "api-key"
)

// keyRow is an API key in a list.
type keyRow struct {
	*models.OperatorKey
	// Role and Scope are what the key may do at present.
	Role    models.Role
	Scope   scope
	Expired bool
}

// keys returns an operator's API keys. list has the apps that the visitor may see.
func (c *console) keys(v *visit, list []*models.App, o *models.Operator) ([]keyRow, error) {
	found, err := c.Operators.Keys(v.r.Context(), o.ID)
	if err != nil {
		return nil, err
	}
	rows := make([]keyRow, len(found))
	for i, k := range found {
		grant := k.Within(o.Grant)
		rows[i] = keyRow{k, grant.Role, scopeOf(list, grant), models.TimeOf(c.Clock()) >= k.ExpiresAt}
	}
	return rows, nil
}

// keyNamed returns the key with that ID, or nil if there is none.
func keyNamed(rows []keyRow, id string) *keyRow {
	at := slices.IndexFunc(rows, func(k keyRow) bool { return strconv.FormatInt(k.ID, 10) == id })
	if at < 0 {
		return nil
	}
	return &rows[at]
}

// newKeyPage is the data of api_key_new.html: the values of the form, and what is wrong with them.
type newKeyPage struct {
	question
	Name string
	// Expiry is the number of days of a choice, or ownLength for those in Days.
	Expiry, Days string
	Form         grantForm
}

// Expiries returns the lifetimes to choose from, in days.
func (newKeyPage) Expiries() []int { return []int{30, 90, 365} }

// day is a unit of lifetimes.
const day = 24 * time.Hour

// lifetime returns the chosen lifetime, or 0 if it is not a number of days.
func (p newKeyPage) lifetime() time.Duration {
	text := p.Expiry
	if text == ownLength {
		text = p.Days
	}
	days, err := strconv.ParseUint(text, 10, 16) // more is too long
	if err != nil {
		return 0
	}
	return time.Duration(days) * day
}

// apiKeyPage is the data of api_key.html: a key that was just made; see reveal.
type apiKeyPage struct {
	Name, Key string
	Role      models.Role
	Scope     scope
	Ends      models.Time
	// URL is where the key is used.
	URL, NextPath string
}

// Example returns a command that uses the key, which it expects in the environment, so that it does not
// get into the history of a shell.
func (p *apiKeyPage) Example() string {
	return `curl ` + p.URL + ` -H "Authorization: Bearer $ROLLCALL_API_KEY" -H 'Content-Type: application/json' -d '{"query":"{ viewer { role } }"}'`
}

// askCreateKey shows the form, which grants the least until the visitor chooses more.
func (c *console) askCreateKey(v *visit) error {
	form, err := c.grantForm(v, models.Grant{Role: models.RoleViewer})
	if err != nil {
		return err
	}
	return c.show(v, "api_key_new", newKeyPage{question: newKeyQuestion, Expiry: "90", Form: form})
}

var newKeyQuestion = question{Path: newKeyPath, Back: accountPath, Fits: true}

// createKey makes an API key of the visitor and reveals it.
func (c *console) createKey(v *visit) error {
	form, grant, err := c.readGrant(v)
	if err != nil {
		return err
	}
	p := newKeyPage{
		question: newKeyQuestion, Name: strings.TrimSpace(v.r.PostFormValue("name")),
		Expiry: v.r.PostFormValue("expiry"), Days: strings.TrimSpace(v.r.PostFormValue("days")), Form: form,
	}
	key, text, err := c.Operators.CreateKey(v.r.Context(), v.operator, operators.NewKey{Name: p.Name, Lifetime: p.lifetime(), Grant: grant}, c.actor(v))
	if refusalOf(err) != nil {
		p.Form.Errors = faultsOf(v, err)
		if p.Form.Errors["name"].Key == "wrong.name.unique" { // which is about names of operators
			p.Form.Errors.set("name", "wrong.key.unique")
		}
		return c.render(v, http.StatusUnprocessableEntity, "api_key_new", p)
	}
	if err != nil {
		return err
	}
	list, err := c.appsOf(v)
	if err != nil {
		return err
	}
	return c.reveal(v, "api_key", apiKeyPage{
		Name: key.Name, Key: text, Role: grant.Role, Scope: scopeOf(list, grant), Ends: key.ExpiresAt, URL: c.origin(v.r) + c.APIPath, NextPath: accountPath,
	})
}

// revokeKeyPage is the data of api_key_revoke.html.
type revokeKeyPage struct {
	question
	Key *keyRow
}

func (c *console) askRevokeKey(v *visit) error {
	list, err := c.appsOf(v)
	if err != nil {
		return err
	}
	rows, err := c.keys(v, list, v.operator)
	if err != nil {
		return err
	}
	key := keyNamed(rows, v.r.URL.Query().Get(keyField))
	return c.show(v, "api_key_revoke", revokeKeyPage{question{Path: revokeKeyPath, Back: accountPath, Fits: key != nil, Danger: true}, key})
}

// revokeOwnKey revokes a key of the visitor.
func (c *console) revokeOwnKey(v *visit) error {
	text, err := c.revokeKey(v, v.operator.ID)
	if err != nil {
		return err
	}
	return c.toAccount(v, text)
}

// revokeKey revokes the operator's key that the form names, and returns the key of the message about the
// result.
func (c *console) revokeKey(v *visit, operatorID int64) (text string, err error) {
	id, err := strconv.ParseInt(v.r.PostFormValue(keyField), 10, 64)
	if err != nil {
		return "", problem{http.StatusBadRequest, "error.invalid"}
	}
	revoked, err := c.Operators.RevokeKey(v.r.Context(), operatorID, id, c.actor(v))
	if revoked == nil {
		return "api_key.gone", err
	}
	return "api_key.revoked", err
}
