package console

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/relations"
	"rollcall/models"
)

// permissionPage is the data of permission.html.
type permissionPage struct {
	App appRow
	// Path is the path of the page; From and To are the IDs of the two users, or what was typed for
	// them.
	Path, From, To string
	// Decision is nil until both users are given and neither is one of several.
	Decision *relations.Explanation
	// May is what the visitor may do.
	May rights
	// Sender and Recipient are the users found for what was typed.
	Sender, Recipient typedUser
}

// FindPath returns the path that finds users by name.
func (p permissionPage) FindPath() string { return findUsersPath(p.App.App) }

// Reason returns the name of the rule that decided: the reason of a denial, or ALLOWED.
func (p permissionPage) Reason() string {
	switch {
	case !p.Decision.Allowed:
		return string(*p.Decision.Reason)
	case p.From == p.To:
		return "ONESELF"
	}
	return "ALLOWED"
}

// Changes returns what would change the decision.
func (p permissionPage) Changes() []relations.Change {
	return append(p.Decision.Needs, p.Decision.Stops...) // one of them is empty
}

// permissionRemedy is a button that makes one of the changes that a denied message needs.
type permissionRemedy struct {
	// Text is the key of the button's text, and Path where it leads.
	Text, Path string
	// Form reports whether the button sends a form with both IDs; otherwise it is a link to a page
	// that asks for confirmation.
	Form bool
	// needs is the access of the route.
	needs access
}

// Remedies returns the remedies that the visitor may carry out. Only an App Server registers users,
// and only the users or their App Server make them friends.
func (p permissionPage) Remedies() []permissionRemedy {
	var out []permissionRemedy
	app := p.App.App
	for _, change := range p.Decision.Needs {
		switch change {
		case relations.LiftBan:
			out = append(out, permissionRemedy{needs: unbanUser.needs, Text: "permission.unban", Path: userPath(app, p.From) + "/" + unbanUser.Path()})
		case relations.ReactivateSender:
			out = append(out, permissionRemedy{needs: reactivateUser.needs, Text: "permission.reactivate.sender", Path: userPath(app, p.From) + "/" + reactivateUser.Path()})
		case relations.ReactivateRecipient:
			out = append(out, permissionRemedy{needs: reactivateUser.needs, Text: "permission.reactivate.recipient", Path: userPath(app, p.To) + "/" + reactivateUser.Path()})
		case relations.AllowSender, relations.AllowSenderOrUnblock:
			out = append(out, permissionRemedy{needs: moderators, Text: "permission.allow", Path: p.Path + "/allow", Form: true})
		case relations.Unblock:
			out = append(out, permissionRemedy{needs: moderators, Text: "permission.unblock", Path: p.Path + "/unblock", Form: true})
		}
	}
	return slices.DeleteFunc(out, func(r permissionRemedy) bool { return !p.May.may(r.needs) })
}

// remedy returns the handler of a remedy. It returns to the page, which then shows the new decision.
func remedy(name string, do func(*relations.Service, context.Context, *models.App, relations.Pair, models.Actor) (*batch.Result, error)) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app := v.app
		pair := relations.Pair{From: searchText(v.r.PostFormValue("from")), To: searchText(v.r.PostFormValue("to"))}
		result, err := do(c.Relations, v.r.Context(), app, pair, c.actor(v))
		var refusal *fault.Error
		if errors.As(err, &refusal) && hasFlash("action.refused."+string(refusal.Code)) {
			result, err = batch.Refused(pair.To, nil, refusal), nil
		}
		if err != nil {
			return err
		}
		if err := c.setFlash(v, resultText("permission."+name, result), pair.From); err != nil {
			return err
		}
		return v.redirect(permissionOf(app, pair.From, pair.To))
	}
}

// permissionPath returns the page that explains the app's decisions.
func permissionPath(app *models.App) string { return appPath(app) + "/permission" }

// permissionOf returns that page for two users.
func permissionOf(app *models.App, from, to string) string {
	return permissionPath(app) + "?" + url.Values{"from": {from}, "to": {to}}.Encode()
}

// explainPermission shows whether one user may message another, and why.
func (c *console) explainPermission(v *visit) error {
	app := v.app
	query := v.r.URL.Query()
	p := permissionPage{App: c.appRow(v, app), Path: permissionPath(app), May: v.rights()}
	var err error
	if p.Sender, err = c.typedUser(v, app, "permission.sender", searchText(query.Get("from"))); err != nil {
		return err
	}
	if p.Recipient, err = c.typedUser(v, app, "permission.recipient", searchText(query.Get("to"))); err != nil {
		return err
	}
	p.From, p.To = p.Sender.ID(), p.Recipient.ID()
	p.Sender.choose(func(id string) string { return permissionOf(app, id, p.To) })
	p.Recipient.choose(func(id string) string { return permissionOf(app, p.From, id) })
	several := len(p.Sender.Choices)+len(p.Recipient.Choices) > 0
	if p.From != "" && p.To != "" && !several {
		p.Decision, err = c.Relations.Explain(v.r.Context(), app, relations.Pair{From: p.From, To: p.To})
		if err != nil {
			return err
		}
	}
	return c.show(v, "permission", p)
}
