package console

import (
	"encoding/json"
	"net/http"
	"strings"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

// maxFound is how many items a search from a field returns.
const maxFound = 8

// foundItem is what a search from a field has found. An operator has no name but its ID.
type foundItem struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Path is the item's page, or "" if it has none.
	Path string `json:"path"`
}

// The paths that a field for an ID searches, separated by spaces. The script replaces {app} by the
// app that the form chooses.
const (
	findAppsPath      = Root + "find"
	findActorsPath    = auditPath + "/find"
	findOperatorsPath = operatorsPath + "/find"
	findUsersOfChosen = Root + "apps/{app}/find"
)

// findUsersPath is the path that searches the app's users.
func findUsersPath(app *models.App) string { return appPath(app) + "/find" }

// findApps responds with the operator's apps whose name or key contains the text, as JSON.
func (c *console) findApps(v *visit) error {
	list, err := c.appsOf(v)
	if err != nil {
		return err
	}
	all := make([]foundItem, len(list))
	for i, app := range list {
		all[i] = foundItem{app.Key, app.Name, overviewPath(app)}
	}
	return v.respondFound(all)
}

// findOperators responds with the operators whose name contains the text, as JSON.
func (c *console) findOperators(v *visit) error {
	list, err := c.Operators.List(v.r.Context())
	if err != nil {
		return err
	}
	all := make([]foundItem, len(list))
	for i, o := range list {
		all[i] = foundItem{ID: o.Name, Path: operatorPath(o)}
	}
	return v.respondFound(all)
}

// findActors responds with the actors that are not operators and whose name contains the text, as
// JSON.
func (c *console) findActors(v *visit) error {
	var all []foundItem
	for _, actor := range []models.Actor{audit.AppServer, audit.CommandLine, audit.FirstStart, audit.SSO} {
		name, err := v.locale.actor(actor.Name)
		if err != nil {
			return err
		}
		all = append(all, foundItem{ID: name})
	}
	return v.respondFound(all)
}

// respondFound responds with the first items whose name or ID contains the text, as JSON.
func (v *visit) respondFound(all []foundItem) error {
	text := models.SearchForm(searchText(v.r.URL.Query().Get("q")))
	found := []foundItem{}
	for _, item := range all {
		if len(found) < maxFound && strings.Contains(models.SearchForm(item.Name+"\n"+item.ID), text) {
			found = append(found, item)
		}
	}
	return v.respondJSON(found)
}

// findUsers responds with the newest users of the app that the text finds, as the list of users
// does, as JSON.
func (c *console) findUsers(v *visit) error {
	filter, _ := filterOf(v.r.URL.Query())
	found := []foundItem{}
	if filter.Search != "" {
		users, err := c.Users.List(v.r.Context(), v.app, filter, page.Request{First: maxFound})
		if err != nil {
			return err
		}
		for _, u := range users.Nodes() {
			found = append(found, foundItem{u.ExternalID, u.Name, userPath(v.app, u.ExternalID)})
		}
	}
	return v.respondJSON(found)
}

// respondJSON responds with status 200 and a value.
func (v *visit) respondJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(body) // the browser may have disconnected
	return nil
}
