package console

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/models"
)

// brokenApps returns this error instead of apps.
type brokenApps func() error

func (b brokenApps) List(context.Context) ([]*models.App, error) { return nil, b() }

func (b brokenApps) ByKey(context.Context, string) (*models.App, error) { return nil, b() }

func TestErrors_DetailsOnlyInLog(t *testing.T) {
	for name, broken := range map[string]brokenApps{
		"an error": func() error { return errors.New("secret SQL") },
		"a panic":  func() error { panic("secret SQL") },
	} {
		t.Run(name, func(t *testing.T) {
			s := onSQLite(t)
			s.deps.Apps = broken
			s.serve()
			got := s.as("admin").get("/console/")
			got.want(t, http.StatusInternalServerError, "Something went wrong", "!secret SQL", "!Try again</a>")
			id := got.Header.Get("X-Request-Id")
			if id == "" || !strings.Contains(got.body, id) {
				t.Errorf("the page does not say %q\n%s", id, got.body)
			}
			log := s.log.String()
			if !strings.Contains(log, "secret SQL") || !strings.Contains(log, "requestId="+id) {
				t.Errorf("the log lacks the error:\n%s", log)
			}
			if strings.Contains(log, password) {
				t.Errorf("the log has a password:\n%s", log)
			}
		})
	}
}

// During an outage of the database, responses have a Retry-After header and the log has no errors
// of the console.
func TestOutageIsServiceUnavailable(t *testing.T) {
	s := onSQLite(t)
	s.deps.Apps = brokenApps(func() error { return fmt.Errorf("reading apps: %w", driver.ErrBadConn) })
	s.serve()
	got := s.as("admin").get("/console/")
	got.want(t, http.StatusServiceUnavailable, "Try again in a few seconds", got.Header.Get("X-Request-Id"), "!reading apps")
	if got.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	if log := s.log.String(); !strings.Contains(log, "reading apps") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestRefusalsHavePages(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{fault.New(fault.Forbidden, "no"), http.StatusForbidden, "You are not allowed to do this."},
		{fault.New(fault.UserNotFound, "no"), http.StatusNotFound, "There is nothing here."},
		{fault.Invalid("x", "y", "no"), http.StatusBadRequest, "contains an invalid value"},
		{fault.AppDisabled, http.StatusConflict, "The app is disabled"},
		{fault.New(fault.RateLimited, "no"), http.StatusTooManyRequests, "Wait a moment"},
		{fault.New(fault.NotOnline, "no"), http.StatusInternalServerError, "The request failed."},
	} {
		s := onSQLite(t)
		s.deps.Apps = brokenApps(func() error { return c.err })
		s.serve()
		s.as("admin").get("/console/").want(t, c.status, c.text)
	}
}

func (b brokenApps) UserCounts(context.Context, ...*models.App) (map[int64]models.UserCounts, error) {
	return nil, b()
}

func (b brokenApps) Create(context.Context, apps.NewApp, models.Actor) (*models.App, string, error) {
	return nil, "", b()
}

func (b brokenApps) GrantToken(context.Context, *models.App, time.Duration, models.Actor) (string, models.Time, error) {
	return "", 0, b()
}

func (b brokenApps) Change(context.Context, string, map[string]string, map[string]string, models.Actor) (*models.App, error) {
	return nil, b()
}

func (b brokenApps) RotateSecret(context.Context, string, time.Duration, models.Actor) (*models.App, string, error) {
	return nil, "", b()
}

// refusingUsers refuses to delete any user.
type refusingUsers struct{ *users.Service }

func (refusingUsers) Delete(context.Context, *models.App, []string, models.Actor) ([]*batch.Result, error) {
	return []*batch.Result{{UserID: "ann", Outcome: models.OutcomeRefused}}, nil
}

// TestForms_TooLong sends each form with too much text. It is refused as a whole; its handler would have
// found no fields.
func TestForms_TooLong(t *testing.T) {
	s := onSQLite(t)
	b := s.loggedIn("admin")
	form := url.Values{"text": {strings.Repeat("x", maxForm)}}
	for _, rt := range routes {
		if method, path := s.path(rt); method == http.MethodPost {
			b.post(path, form).want(t, http.StatusRequestEntityTooLarge, "This form is too long", "!Enter")
		}
	}
}

func TestDeleteUser_ShowsRefusal(t *testing.T) {
	s := onSQLite(t)
	s.deps.Users = refusingUsers{s.users}
	s.serve()
	b := s.as("admin")
	b.post(userPath(s.dev, "ann")+"/delete", url.Values{}).wantRedirect(t, usersPath(s.dev))
	b.get(usersPath(s.dev)).want(t, http.StatusOK, "ann was not deleted")
}

func TestRender_FailureSendsNoPartialPage(t *testing.T) {
	s := onSQLite(t)
	c := loadEmbedded()
	c.Deps = s.deps
	for name, content := range map[string]any{"apps": struct{ Nothing int }{}, "nothing": nil} {
		rt := route{access: anyone, handle: func(c *console, v *visit) error { return c.show(v, name, content) }}
		got := record(c.guard(c.handler(rt)))
		if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), "Something went wrong") ||
			strings.Count(got.Body.String(), "<!doctype html>") != 1 {
			t.Errorf("%s: %d\n%s", name, got.Code, got.Body)
		}
	}
}

// record returns the handler's response to a plain GET.
func record(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console/", nil))
	return w
}

func (b brokenApps) Disable(context.Context, string, models.Actor) (*models.App, bool, error) {
	return nil, false, b()
}

func (b brokenApps) Enable(context.Context, string, models.Actor) (*models.App, bool, error) {
	return nil, false, b()
}

func (b brokenApps) CheckDeletion(context.Context, *models.App) error { return b() }

func (b brokenApps) Delete(context.Context, string, string, models.Actor) (*models.App, error) {
	return nil, b()
}

// TestProblem_NamesTheWrongPart checks that the page of a wrong address names the part that is wrong.
func TestProblem_NamesTheWrongPart(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	for path, part := range map[string]string{
		usersPath(s.dev) + "?after=x":                          "The value of “after” in the address is invalid.",
		jobsPath(s.dev) + "?before=x":                          "The value of “before” in the address is invalid.",
		statisticsPath(s.dev) + ".csv?range=custom&from=never": "Enter both dates as year-month-day",
	} {
		b.get(path).want(t, http.StatusBadRequest, part, "!contains an invalid value")
	}
}

// TestProblem_TitleNamesWhatWasRefused checks that refusals with a title of their own show it.
func TestProblem_TitleNamesWhatWasRefused(t *testing.T) {
	s := onSQLite(t)
	s.as("admin").get(userPath(s.prod, "ann")+"/delete").want(t, http.StatusForbidden, "<h1>Users cannot be deleted</h1>", "<title>Users cannot be deleted")
	s.as("viewer").get(userPath(s.dev, "ann")+"/ban").want(t, http.StatusForbidden, "<h1>Your role does not allow this</h1>")
}
