package console

import "net/http"

// promptCookie is in the browser of an operator that has sent a form recently, who must see at once what
// the form has changed: no read is late. The browser itself removes the cookie, so no clocks are compared
// and all nodes know it. A visitor that forges it only reads at the primary.
const promptCookie = "rollcall_prompt"

// keepPrompt sets the cookie for as long as a replica may lack what the form changes, which may still
// happen for handlingTime after the response.
func (c *console) keepPrompt(w http.ResponseWriter, r *http.Request) {
	if c.MaxLag > 0 {
		c.setCookie(c.visit(w, r), promptCookie, "1", seconds(c.MaxLag+handlingTime))
	}
}
