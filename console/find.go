package console

import (
	"encoding/json"
	"net/http"
	"strings"

	"rollcall/internal/page"
	"rollcall/models"
)

// maxFound is how many apps or users a search from a field returns.
const maxFound = 8

// foundItem is an app or a user that a search from a field has found.
type foundItem struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Path string `json:"path"`
}

// findApps responds with the operator's apps whose name or key contains the text, as JSON.
func (c *console) findApps(v *visit) error {
	list, err := c.appsOf(v)
	if err != nil {
		return err
	}
	text := models.SearchForm(searchText(v.r.URL.Query().Get("q")))
	found := []foundItem{}
	for _, app := range list {
		if len(found) < maxFound && strings.Contains(models.SearchForm(app.Name+"\n"+app.Key), text) {
			found = append(found, foundItem{app.Key, app.Name, overviewPath(app)})
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
