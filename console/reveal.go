package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// shownPath begins the addresses of pages with a new secret.
const shownPath = Root + "shown/"

// shownFor is how long the session that made a secret can read it: long enough to reload the page, to
// choose another language, and to send the form again because no response came.
const shownFor = 5 * time.Minute

// revealed are the pages with a new secret, and their data.
var revealed = map[string]func() any{
	"api_key":           func() any { return new(apiKeyPage) },
	"app_secret":        func() any { return new(secretPage) },
	"recovery_codes":    func() any { return new(recoveryPage) },
	"operator_password": func() any { return new(passwordPage) },
	"operator_invited":  func() any { return new(invitedPage) },
	"webhook_secret":    func() any { return new(endpointSecretPage) },
}

// keptSecret is a page with a secret, as it is kept for its reader.
type keptSecret struct {
	Page    string
	Content json.RawMessage
}

// reveal redirects to a page of revealed with a new secret. The page is not the response to the
// form, because a reload would make another secret. Its address has the key without which the
// secret cannot be read; other sessions cannot read it with the key either.
func (c *console) reveal(v *visit, page string, content any) error {
	raw, err := json.Marshal(content)
	if err != nil {
		return err
	}
	key, err := c.Sealed.Put(v.r.Context(), v.session.ID, keptSecret{page, raw}, shownFor)
	if err != nil {
		return err
	}
	return v.redirect(shownPath + url.PathEscape(key))
}

// showSecret shows a page with a new secret to the session that made it.
func (c *console) showSecret(v *visit) error {
	var shown keptSecret
	found, err := c.Sealed.Get(v.r.Context(), v.session.ID, v.r.PathValue("shown"), &shown)
	if err != nil {
		return err
	}
	if !found {
		return problem{http.StatusGone, "error.shown"}
	}
	data := revealed[shown.Page]
	if data == nil {
		return fmt.Errorf("a secret has no page %q", shown.Page)
	}
	content := data()
	if err := json.Unmarshal(shown.Content, content); err != nil {
		return err
	}
	return c.show(v, shown.Page, content)
}
