package console

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"rollcall/models"
)

// visit is a request with what the middleware knows about it.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	// operator and session are nil if the visitor is not logged in.
	operator *models.Operator
	session  *models.OperatorSession
	// app is the app in the path, which the operator is for, or nil if the route has none.
	app    *models.App
	locale *locale
	// hasPage is true for a form whose path is also that of a page.
	hasPage bool
	// limit is nil in responses without a handler.
	limit *limit
}

// actor returns the visitor as an actor for the audit.
func (c *console) actor(v *visit) models.Actor {
	return models.Actor{OperatorID: v.operator.ID, Name: v.operator.Name, Address: c.ClientAddress(v.r)}
}

// redirect sends the browser to another page with GET.
func (v *visit) redirect(target string) error {
	http.Redirect(v.w, v.r, target, http.StatusSeeOther)
	return nil
}

// here returns the page that the browser shows. If it has sent a form, that is the page of the form:
// the one with the form's own path, or the one that the browser names, or else Root.
func (v *visit) here() string {
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return v.r.URL.RequestURI()
	}
	if v.hasPage {
		return v.r.URL.RequestURI()
	}
	from, err := url.Parse(v.r.Referer())
	if err != nil || from.Host != v.r.Host {
		return Root
	}
	return localPath(from.RequestURI())
}

// localPath returns target if it is a path of the console that can be requested with GET, and Root
// otherwise. A link to the login must not lead to another site.
func localPath(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.ContainsAny(target, "\\\r\n\t") ||
		!strings.HasPrefix(target, Root) || !strings.HasPrefix(path.Clean(u.Path)+"/", Root) {
		return Root
	}
	return target
}

// appPath returns the path of an app, which begins the paths of its pages.
func appPath(app *models.App) string { return Root + "apps/" + url.PathEscape(app.Key) }

// usersPath returns the page that lists an app's users.
func usersPath(app *models.App) string { return appPath(app) + "/users" }

// idMark precedes IDs that cannot be a path segment; no ID contains it.
const idMark = "~"

// userPath returns the page of a user. The IDs "." and ".." are marked, because a browser takes
// them, escaped or not, for steps in the path.
func userPath(app *models.App, id string) string {
	segment := url.PathEscape(id)
	if id == "." || id == ".." {
		segment = idMark + id
	}
	return usersPath(app) + "/" + segment
}

// userID returns the ID in the path, as written by userPath.
func (v *visit) userID() string { return strings.TrimPrefix(v.r.PathValue("id"), idMark) }
