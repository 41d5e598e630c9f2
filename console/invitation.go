package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
	"rollcall/models"
)

const (
	// invitationsPath begins the paths of the actions on invitations.
	invitationsPath = operatorsPath + "/invitations"
	// invitationPath begins the links of invitations, which end with their tokens.
	invitationPath = Root + "invitation/"
)

// invitationRow is an open invitation in a list.
type invitationRow struct {
	*models.OperatorInvitation
	Scope scope
	// Ends is when the invitation expires.
	Ends       models.Time
	RevokePath string
}

func (c *console) invitationRow(apps []*models.App, i *models.OperatorInvitation) invitationRow {
	return invitationRow{
		OperatorInvitation: i, Scope: scopeOf(apps, i.Grant), Ends: i.CreatedAt.Add(operators.InvitationLifetime),
		RevokePath: invitationsPath + "/" + strconv.FormatInt(i.ID, 10) + "/revoke",
	}
}

// invitedPage is the data of operator_invited.html: a link that was just made; see reveal.
type invitedPage struct {
	Name     string
	Role     models.Role
	Scope    scope
	Link     string
	Ends     models.Time
	NextPath string
}

// invite makes an invitation and reveals its link.
func (c *console) invite(v *visit) error {
	if !c.Operators.LocalLogin() {
		return problem{http.StatusForbidden, "error.local_login_off"}
	}
	form, grant, err := c.readGrant(v)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(v.r.PostFormValue("name"))
	invitation, token, err := c.Operators.Invite(v.r.Context(), name, grant, c.actor(v))
	if refusalOf(err) != nil {
		form.Errors = faultsOf(v, err)
		p, err := c.operatorsPage(v)
		if err != nil {
			return err
		}
		p.Name, p.Form = name, form
		return c.render(v, http.StatusUnprocessableEntity, "operators", p)
	}
	if err != nil {
		return err
	}
	apps, err := c.appsOf(v)
	if err != nil {
		return err
	}
	row := c.invitationRow(apps, invitation)
	return c.reveal(v, "operator_invited", invitedPage{
		Name: row.Name, Role: row.Role, Scope: row.Scope, Ends: row.Ends,
		Link: c.InvitationLink(v.r, token), NextPath: operatorsPath,
	})
}

// InvitationLink returns the link of an invitation with that token. It leads to the configured address
// or, without one, to that of the request.
func (d *Deps) InvitationLink(r *http.Request, token string) string {
	return d.origin(r) + invitationPath + token
}

// origin returns the console's address in browsers, without a path.
func (d *Deps) origin(r *http.Request) string {
	switch {
	case d.URL != "":
		return d.URL
	case d.Secure(r):
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (c *console) revokeInvitation(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("invitation"), 10, 64)
	if err != nil {
		return c.notFound(v)
	}
	revoked, err := c.Operators.RevokeInvitation(v.r.Context(), id, c.actor(v))
	if err != nil {
		return err
	}
	text, name := "invitation.revoke.already", ""
	if revoked != nil {
		text, name = "invitation.revoke.done", revoked.Name
	}
	if err := c.setFlash(v, text, name); err != nil {
		return err
	}
	return v.redirect(operatorsPath)
}

// acceptPage is the data of invitation.html.
type acceptPage struct {
	Path string
	// Invitation is nil if it cannot be accepted; Refused is then the rule that explains why.
	Invitation *models.OperatorInvitation
	Refused    string
	Errors     faults
	// Limited is the text that names the limit that was reached, or "" if none was. WaitSeconds is
	// how long to wait.
	Limited     string
	WaitSeconds int
}

// MinPassword returns the minimum length of a password.
func (acceptPage) MinPassword() int { return operators.MinPasswordLength }

// acceptPage returns the page of the invitation in the path. If operators log in by SSO only, it has
// responded with what to do instead, and returns nil.
func (c *console) acceptPage(v *visit) (*acceptPage, error) {
	p := &acceptPage{Path: v.r.URL.EscapedPath()}
	if c.Operators.LocalLogin() {
		return p, nil
	}
	p.Refused = "sso_only"
	if v.operator != nil {
		p.Refused = "sso_already"
	}
	return nil, c.render(v, http.StatusForbidden, "invitation", p)
}

// showInvitation shows the invitation whose link was opened, with a form for the password.
func (c *console) showInvitation(v *visit) error {
	p, err := c.acceptPage(v)
	if p == nil {
		return err
	}
	p.Invitation, err = c.Operators.Invitation(v.r.Context(), v.r.PathValue("token"), c.ClientAddress(v.r))
	if err != nil {
		return c.refuseInvitation(v, p, err)
	}
	return c.show(v, "invitation", p)
}

// acceptInvitation makes the visitor an operator and logs it in. If it was logged in as another, that
// session ends, so that it does not stay open unnoticed.
func (c *console) acceptInvitation(v *visit) error {
	p, err := c.acceptPage(v)
	if p == nil {
		return err
	}
	request := operators.AcceptRequest{
		Token: v.r.PathValue("token"), Password: v.r.PostFormValue("password"),
		Address: c.ClientAddress(v.r), UserAgent: v.r.UserAgent(),
	}
	var login *operators.Login
	if err = repeated(v.r); err == nil {
		login, err = c.Operators.AcceptInvitation(v.r.Context(), request)
	}
	refusal := refusalOf(err)
	if refusal == nil || refusal.Extensions["field"] == "invitation" {
		if err != nil {
			return c.refuseInvitation(v, p, err)
		}
		if err := c.logIn(v, login); err != nil {
			return err
		}
		if v.session != nil {
			if err := c.Operators.Logout(v.r.Context(), v.session, c.actor(v)); err != nil {
				return err
			}
		}
		return v.redirect(Root)
	}
	p.Errors = faultsOf(v, err)
	if p.Invitation, err = c.Operators.Invitation(v.r.Context(), request.Token, request.Address); err != nil {
		return c.refuseInvitation(v, p, err)
	}
	return c.render(v, http.StatusUnprocessableEntity, "invitation", p)
}

// refuseInvitation responds with a page that explains why the invitation cannot be accepted.
func (c *console) refuseInvitation(v *visit, p *acceptPage, err error) error {
	p.Invitation = nil
	var refusal *fault.Error
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Code == fault.RateLimited:
		p.Limited, p.WaitSeconds = limitText(refusal), retryAfter(v, refusal)
		return c.render(v, http.StatusTooManyRequests, "invitation", p)
	case refusal.Code != fault.InvalidArgument:
		return err
	}
	rule, _ := refusal.Extensions["rule"].(string)
	p.Refused = rule
	status := http.StatusGone
	if rule == "unknown" {
		status = http.StatusNotFound
	}
	return c.render(v, status, "invitation", p)
}
