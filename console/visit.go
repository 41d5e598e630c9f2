package console

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"rollcall/models"
)

// visit is one request, with what the middleware has found out about it.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	// operator and session are nil when nobody is logged in.
	operator *models.Operator
	session  *models.OperatorSession
	locale   *locale
}

// actor is who is visiting, for the audit.
func (c *console) actor(v *visit) models.Actor {
	return models.Actor{Name: v.operator.Name, Address: c.ClientAddress(v.r)}
}

// redirect sends the browser on to another page, which it gets.
func (v *visit) redirect(target string) error {
	http.Redirect(v.w, v.r, target, http.StatusSeeOther)
	return nil
}

// here is the page that the browser shows, or Root when it has sent a form.
func (v *visit) here() string {
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return v.r.URL.RequestURI()
	}
	return Root
}

// localPath answers target when it is a path of the console that can be got,
// else Root: a link to the login must not lead on to another site.
func localPath(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.ContainsAny(target, "\\\r\n\t") ||
		!strings.HasPrefix(target, Root) || !strings.HasPrefix(path.Clean(u.Path)+"/", Root) {
		return Root
	}
	return target
}

// appPath begins the paths of an app's pages.
func appPath(app *models.App) string { return Root + "apps/" + url.PathEscape(app.Key) }

// usersPath is where an app's users are listed.
func usersPath(app *models.App) string { return appPath(app) + "/users" }

// idMark stands in front of the IDs that cannot be a path's segment; no ID has it.
const idMark = "~"

// userPath is where a user is shown. The IDs "." and ".." are marked, because a
// browser takes them, escaped or not, for steps in the path.
func userPath(app *models.App, id string) string {
	segment := url.PathEscape(id)
	if id == "." || id == ".." {
		segment = idMark + id
	}
	return usersPath(app) + "/" + segment
}

// userID answers the ID in the path, as userPath wrote it.
func (v *visit) userID() string { return strings.TrimPrefix(v.r.PathValue("id"), idMark) }
