package console

import (
	"net/http"
	"net/url"
	"testing"
)

// TestForms_ShowAllThatIsWrongAtOnce: each form that rules check as a whole shows what is wrong with
// every field, at the field.
func TestForms_ShowAllThatIsWrongAtOnce(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	guest := s.browser()
	for _, c := range []struct {
		b      *browser
		path   string
		form   url.Values
		fields []string
	}{
		{b, webhooksPath(s.dev) + "/new", url.Values{"url": {"ftp://app.example"}, "events": {"some"}}, []string{"url", "eventTypes"}},
		{b, newKeyPath, url.Values{"expiry": {ownLength}, "role": {"viewer"}, "scope": {"named"}}, []string{"name", "expiry", "apps"}},
		{b, invitationsPath, url.Values{"role": {"viewer"}, "scope": {"named"}}, []string{"name", "apps"}},
		{b, accountPath + "/password", url.Values{"password": {"short"}, "again": {"other"}}, []string{"password", "again"}},
		{guest, b.invite("new", "viewer"), url.Values{"password": {"short"}, "again": {"other"}}, []string{"password", "again"}},
	} {
		got := c.b.post(c.path, c.form)
		for _, field := range c.fields {
			got.want(t, http.StatusUnprocessableEntity, `id="`+field+`-error" role="alert"`)
		}
	}
}
