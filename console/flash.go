package console

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"rollcall/internal/strictbase64"
)

// flashCookie carries a message over a redirect to the next page.
const flashCookie = "rollcall_flash"

// flashAge is how many seconds a message waits for the next page.
const flashAge = 60

// flash is a message about the result of a form.
type flash struct {
	// Text is a key of flashTexts.
	Text string
	// Subject replaces {subject} in the text.
	Subject string
	// DevicesLater is true if Redis did not respond, so that the nodes close devices by themselves.
	DevicesLater bool `json:",omitempty"`
}

// flashTexts are the keys of all messages, with true for success. A cookie with another key was not
// set by the console.
var flashTexts = map[string]bool{
	"action.ban.done":              true,
	"action.change-ban.done":       true,
	"action.unban.done":            true,
	"action.unban.already":         false,
	"action.disconnect.done":       true,
	"action.disconnect.already":    false,
	"action.disconnect.gone":       false,
	"action.disconnect.one.done":   true,
	"action.expire-tokens.done":    true,
	"action.expire-tokens.already": false,
	"action.sign-out.done":         true,
	"action.sign-out.already":      false,
	"action.sign-out.devices":      false,
	"action.deactivate.done":       true,
	"action.deactivate.already":    false,
	"action.reactivate.done":       true,
	"action.reactivate.already":    false,
	"action.whitelist-on.done":     true,
	"action.whitelist-on.already":  false,
	"action.whitelist-off.done":    true,
	"action.whitelist-off.already": false,
	"action.refused":               false,
	// By the code of the refusal.
	"action.refused.USER_NOT_FOUND":     false,
	"action.refused.USER_DEACTIVATED":   false,
	"action.refused.USER_LIMIT_REACHED": false,

	"bulk.nobody.next": false,

	"permission.allow.done":                  true,
	"permission.allow.already":               false,
	"permission.unblock.done":                true,
	"permission.unblock.already":             false,
	"action.refused.WHITELIST_LIMIT_REACHED": false,

	"connections.done":     true,
	"connections.all_done": true,
	"connections.gone":     false,

	"app.disable.done":    true,
	"app.disable.already": false,
	"app.enable.done":     true,
	"app.enable.already":  false,
	"app.delete.done":     true,

	"settings.done": true,
	"settings.same": false,
	"password.done": true,
	"session.done":  true,
	"session.gone":  false,
	"sessions.done": true,
	"sessions.gone": false,

	"invitation.revoke.done":    true,
	"invitation.revoke.already": false,

	"operator.role.done":    true,
	"operator.role.already": false,
	"operator.delete.done":  true,

	"operator.reset-second-factor.done":    true,
	"operator.reset-second-factor.already": false,

	"ended.idle":     false,
	"ended.age":      false,
	"ended.self":     false,
	"ended.other":    false,
	"ended.password": false,
	"ended.factor":   false,

	"login.expired":    false,
	"sso.confirmed":    true,
	"sso.expired":      false,
	"sso.away":         false,
	"sso.throttled":    false,
	"totp.done":        true,
	"totp.removed":     true,
	"totp.gone":        false,
	"recovery.refused": false,
	"passkey.done":     true,
	"passkey.removed":  true,
	"passkey.gone":     false,

	// By the rule of the refusal.
	"operator.refused.self":         false,
	"operator.refused.last_owner":   false,
	"operator.refused.own_password": false,
	"operator.refused.sso":          false,
	"sso.refused":                   false,
	"sso.invalid":                   false,
	"sso.no_role":                   false,
	"sso.email":                     false,
	"sso.wrong":                     false,

	"webhook.edit.done":        true,
	"webhook.test.done":        true,
	"webhook.enable.done":      true,
	"webhook.enable.already":   false,
	"webhook.disable.done":     true,
	"webhook.disable.already":  false,
	"webhook.delete.done":      true,
	"webhook.replay.done":      true,
	"webhook.replay.more":      true,
	"webhook.replay.nothing":   false,
	"webhook.refused.disabled": false,
	"delivery.replay.done":     true,

	"api_key.revoked": true,
	"api_key.gone":    false,

	"note.add.done":       true,
	"note.delete.done":    true,
	"note.delete.already": false,

	"delete.done":    true,
	"delete.gone":    false,
	"delete.refused": false,
}

// hasFlash reports whether there is a message with that key.
func hasFlash(text string) bool {
	_, ok := flashTexts[text]
	return ok
}

// Good reports whether the request succeeded with all of its effects.
func (f *flash) Good() bool { return flashTexts[f.Text] && !f.DevicesLater }

// setFlash makes the next page show text, which must be one of flashTexts, about subject.
func (c *console) setFlash(v *visit, text, subject string) error {
	return c.putFlash(v, flash{Text: text, Subject: subject})
}

func (c *console) putFlash(v *visit, f flash) error {
	if !hasFlash(f.Text) {
		return fmt.Errorf("%q is not among flashTexts, so no page would show it", f.Text)
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	c.setCookie(v, flashCookie, base64.RawURLEncoding.EncodeToString(raw), flashAge)
	return nil
}

// flashOf returns the cookie that setFlash has added to the header of a response, or "".
func (c *console) flashOf(v *visit, header http.Header) string {
	name := c.cookieName(v.r, flashCookie) + "="
	for _, cookie := range header.Values("Set-Cookie") {
		if strings.HasPrefix(cookie, name) {
			return cookie
		}
	}
	return ""
}

// takeFlash returns the message for this page, or nil if there is none, and removes it.
func (c *console) takeFlash(v *visit) *flash {
	text := c.cookie(v.r, flashCookie)
	if text == "" {
		return nil
	}
	c.setCookie(v, flashCookie, "", -1)
	raw, err := strictbase64.Decode(base64.RawURLEncoding, text)
	if err != nil {
		return nil
	}
	f := &flash{}
	if json.Unmarshal(raw, f) != nil {
		return nil
	}
	if !hasFlash(f.Text) {
		return nil
	}
	return f
}
