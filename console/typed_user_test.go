package console

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestTypedName_FindsTheUser types names and parts of names where a user's ID is asked for.
func TestTypedName_FindsTheUser(t *testing.T) {
	s := onSQLite(t)
	s.register(s.dev, "u-1", "Fay Moreau")
	s.register(s.dev, "u-2", "Zoë Moreau")
	s.register(s.dev, "u-3", "u-1")
	for i := range maxFound + 1 {
		s.pass(time.Millisecond)
		s.register(s.dev, fmt.Sprint("m-", i), "Many")
	}
	b := s.as("admin")
	ask := func(from, to string) *answer { return b.get(permissionOf(s.dev, from, to)) }
	link := func(from, to string) string { return `href="` + html.EscapeString(permissionOf(s.dev, from, to)) + `"` }

	ask("fay moreau", "zoe").want(t, http.StatusOK, "u-1 may message u-2", "Sender: no user has the ID “fay moreau”.", "Fay Moreau</bdi></a> <code>u-1",
		"Recipient: no user has the ID “zoe”.", `name="from" value="u-1"`, `name="to" value="u-2"`)
	ask("u-1", "ann").want(t, http.StatusOK, "u-1 may message ann", "!no user has the ID")
	ask("moreau", "zoe").want(t, http.StatusOK, "Sender: no user has the ID “moreau”. Choose", link("u-1", "u-2"), link("u-2", "u-2"),
		`value="moreau"`, "!may message", "!may not message", "!More users match")
	ask("ann", "moreau").want(t, http.StatusOK, "Recipient: no user has the ID “moreau”. Choose", link("ann", "u-1"), link("ann", "u-2"), "!may message")
	ask("many", "").want(t, http.StatusOK, link("m-8", ""), link("m-1", ""), "!"+link("m-0", ""), "More users match")
	ask("moreau", "moreau").want(t, http.StatusOK, link("u-1", "moreau"), link("moreau", "u-2"))
	ask("noone", "ann").want(t, http.StatusOK, "No user with the ID or name noone was found.", "!has the ID “noone”")

	b.reveal(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"fay"}}).want(t, http.StatusOK, "A token of the user Fay Moreau (u-1) of “demo”", `value="u-1"`)
	choose := explorerPath + "?app=" + s.dev.Key + "&user=u-2"
	b.post(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"moreau"}, "headers": {"{}"}}).want(t, http.StatusUnprocessableEntity,
		"User: no user has the ID “moreau”. Choose", `href="`+html.EscapeString(choose)+`"`, `data-headers="{}"`)
	b.get(choose).want(t, http.StatusOK, `value="u-2"`, `value="`+s.dev.Key+`" selected`)
}
