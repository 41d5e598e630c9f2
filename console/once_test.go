package console

import (
	"context"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/sealed"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestOnce_IsInEveryForm(t *testing.T) {
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(names) < 20 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if forms, keys := strings.Count(string(text), ` method="post"`), strings.Count(withOnce(string(text)), "{{once}}"); forms != keys {
			t.Errorf("%s: %d of %d forms have a key", name, keys, forms)
		}
	}
}

// TestOnce_SecondSubmissionGetsTheFirstResult sends each form twice, to two nodes: one after the
// other and at the same time.
func TestOnce_SecondSubmissionGetsTheFirstResult(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		first := s.as("admin")
		url1 := s.url
		s.serve() // another node
		second := &browser{site: &site{t: t, url: s.url}, client: first.client, head: http.Header{}}
		s.url = url1
		nodes := []*browser{first, second}
		s.register(s.dev, "bob", "Bob")
		for _, form := range []struct {
			name, page, path string
			fields           url.Values
			// audited is the action that must be in the audit once.
			audited string
		}{
			{"ban", userPath(s.dev, "ann") + "/ban", userPath(s.dev, "ann") + "/ban", url.Values{"length": {"60"}, "reason": {"spam"}}, "user.ban ann"},
			{"app", newAppPath, newAppPath, url.Values{"name": {"new"}, "environment": {"DEVELOPMENT"}, "edition": {"STANDARD"}}, "app.create"},
			{"invitation", operatorsPath, invitationsPath, url.Values{"name": {"olga"}, "role": {"viewer"}, "scope": {"all"}}, "operator.invite olga"},
			{"bulk", appPath(s.dev) + "/bulk/ban?id=bob", appPath(s.dev) + "/bulk/ban", url.Values{"id": {"bob"}, "length": {"60"}}, "user.ban bob"},
		} {
			t.Run(form.name, func(t *testing.T) {
				fields := form.fields
				fields.Set(onceField, first.get(form.page).form().Get(onceField))
				answers := make([]*answer, 4)
				var wg sync.WaitGroup
				for i := range 3 {
					wg.Go(func() { answers[i] = nodes[i%2].post(form.path, fields) })
				}
				wg.Wait()
				answers[3] = nodes[1].post(form.path, fields)
				for _, a := range answers {
					a.wantRedirect(t, answers[0].Header.Get("Location"))
				}
				if strings.HasPrefix(answers[0].Header.Get("Location"), shownPath) {
					first.get(answers[3].Header.Get("Location")).want(t, http.StatusOK, "shown here for 5 minutes")
				} else if form.name == "bulk" {
					first.finish(answers[3])
				} else if !slices.ContainsFunc(answers[3].Header.Values("Set-Cookie"), func(c string) bool { return strings.HasPrefix(c, flashCookie) }) {
					t.Error("the message is lost")
				}
				if n := s.countAudited(form.audited); n != 1 {
					t.Errorf("%s: done %d times", form.audited, n)
				}
			})
		}
		if list, err := s.jobs.List(context.Background(), s.dev, page.Request{First: 10}); err != nil || len(list.Nodes()) != 1 {
			t.Errorf("%d jobs, %v", len(list.Nodes()), err)
		}
	})
}

// countAudited returns how often an action was done since the site was set up: "ACTION" or "ACTION TARGET".
func (s *site) countAudited(what string) int {
	s.t.Helper()
	action, target, _ := strings.Cut(what, " ")
	query := s.db.Read(context.Background()).Model(&models.AuditEntry{}).Where("action = ? AND actor = ?", action, "admin")
	if target != "" {
		query = query.Where("target = ?", target)
	}
	var n int64
	s.check(query.Count(&n).Error)
	return int(n)
}

func TestOnce_AllowsWhatIsNotTheSame(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann") + "/ban"
	key := b.get(path).form().Get(onceField)
	ban := func(length string) *answer {
		return b.post(path, url.Values{"length": {length}, onceField: {key}})
	}
	// A refused form leaves its key unused.
	ban("7").want(t, http.StatusUnprocessableEntity)
	ban("7").want(t, http.StatusUnprocessableEntity)
	ban("180").wantRedirect(t, userPath(s.dev, "ann"))
	ban("180").wantRedirect(t, userPath(s.dev, "ann"))
	if n := s.countAudited("user.ban ann"); n != 1 {
		t.Errorf("banned %d times", n)
	}
	ban("1440").wantRedirect(t, userPath(s.dev, "ann")) // other values
	s.pass(onceLifetime)
	b.login("admin", password)
	b.post(path, url.Values{"length": {"180"}, onceField: {b.get(path).form().Get(onceField)}})
	if n := s.countAudited("user.ban ann"); n != 3 {
		t.Errorf("banned %d times", n)
	}
	// Another session's key is another one.
	s.as("admin").post(path, url.Values{"length": {"180"}, onceField: {key}})
	if n := s.countAudited("user.ban ann"); n != 4 {
		t.Errorf("banned %d times", n)
	}
}

// slowApps creates apps only when the test lets it.
type slowApps struct {
	Apps
	begun, proceed chan struct{}
}

func (a slowApps) Create(ctx context.Context, in apps.NewApp, by models.Actor) (*models.App, string, error) {
	close(a.begun)
	<-a.proceed
	return a.Apps.Create(ctx, in, by)
}

func TestOnce_SurvivesABrowserThatGivesUp(t *testing.T) {
	s := onSQLite(t)
	slow := slowApps{s.deps.Apps, make(chan struct{}), make(chan struct{})}
	s.deps.Apps = slow
	s.serve()
	b := s.as("admin")
	form := url.Values{"name": {"new"}, "environment": {"DEVELOPMENT"}, "edition": {"STANDARD"}, onceField: {sealed.NewKey()}}
	ctx, giveUp := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+newAppPath, strings.NewReader(form.Encode()))
	s.check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	go func() {
		<-slow.begun
		giveUp()
	}()
	if _, err := b.client.Do(r); err == nil {
		t.Fatal("the request was not cancelled")
	}
	// While the first is running, the second waits and then says so.
	b.post(newAppPath, form).want(t, http.StatusConflict, "its result is not known yet")
	close(slow.proceed)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if got := b.post(newAppPath, form); got.StatusCode == http.StatusSeeOther {
			b.get(got.Header.Get("Location")).want(t, http.StatusOK, "The app was created")
			return
		} else if time.Now().After(deadline) {
			got.want(t, http.StatusSeeOther)
		}
	}
}

func TestReveal_IsForTheSessionThatMadeTheSecret(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	made := b.post(appPath(s.dev)+"/rotate-secret", url.Values{"overlap": {"1440"}})
	target := made.Header.Get("Location")
	secret := shownSecret.FindStringSubmatch(b.get(target).body)[1]
	// A reload and another language do not lose it.
	b.post("/console/language", url.Values{"language": {"zh-CN"}, "next": {target}}).wantRedirect(t, target)
	b.get(target).want(t, http.StatusOK, secret, `lang="zh-CN"`, "复制")
	b.post("/console/language", url.Values{"language": {"en"}, "next": {target}})
	s.as("admin").get(target).want(t, http.StatusGone, "!"+secret)
	s.as("").get(target).want(t, http.StatusSeeOther, "!"+secret)
	var rows []models.SealedValue
	s.check(s.db.Read(context.Background()).Find(&rows).Error)
	for _, row := range rows {
		if strings.Contains(string(row.Content), secret) {
			t.Error("the secret is in the database")
		}
	}
	s.pass(shownFor)
	b.get(target).want(t, http.StatusGone, "No longer available", "!"+secret)
}
