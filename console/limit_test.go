package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/batch"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// responseTime is the time within which every page must respond: 3 s, and as much again for a machine
// that runs other tests.
const responseTime = 6 * time.Second

// throughProxies returns a site whose database and Redis are reached through proxies. It does not look
// whether they respond, so that an outage stays unknown to it.
func throughProxies(t *testing.T) (s *site, db, redis *testenv.Proxy) {
	t.Helper()
	testenv.NeedServer(t)
	url, db := testenv.ProxiedMySQLURL(t)
	redisURL := testenv.RedisURL(t)
	redis = testenv.NewProxy(t, strings.TrimPrefix(redisURL, "redis://"))
	opened := testenv.Open(t, url)
	client := testenv.OpenRedis(t, "redis://"+redis.Address(), testenv.Service())
	return newSiteWith(t, opened, client).inTime(), db, redis
}

// all sends these requests at the same time, each of which must be responded to in time.
func (b *browser) all(requests [][2]string, check func(method, path string, got *answer)) {
	b.t.Helper()
	var running sync.WaitGroup
	for _, request := range requests {
		method, path := request[0], request[1]
		running.Go(func() {
			begun := time.Now()
			got := b.send(method, path, url.Values{onceField: {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, "language": {"en"}})
			if took := time.Since(begun); took > responseTime {
				b.t.Errorf("%s %s took %v", method, path, took)
			}
			check(method, path, got)
		})
	}
	running.Wait()
}

// TestHungServers_EveryPageRespondsInTime: the database or Redis accepts connections and does not
// respond, and no page knows it yet.
func TestHungServers_EveryPageRespondsInTime(t *testing.T) {
	t.Parallel() // mostly waits
	s, db, redis := throughProxies(t)
	b := s.as("admin")
	var requests [][2]string
	for _, rt := range routes {
		method, path := s.path(rt)
		requests = append(requests, [2]string{method, path})
	}

	redis.Pause()
	var running sync.WaitGroup
	for _, path := range []string{Root, overviewPath(s.dev), usersPath(s.dev), userPath(s.dev, "ann"), userPath(s.dev, "ann") + "/devices"} {
		running.Go(func() { b.within(responseTime, path).want(t, http.StatusOK, "!status ONLINE") })
	}
	running.Go(func() {
		begun := time.Now()
		got := b.post(userPath(s.dev, "ann")+"/ban", url.Values{"length": {"60"}})
		if got.StatusCode != http.StatusSeeOther { // it may know of Redis that it is silent
			got.want(t, http.StatusGatewayTimeout, "The change was made, at least in part")
		}
		if took := time.Since(begun); took > responseTime {
			t.Errorf("a ban took %v", took)
		}
	})
	running.Go(func() {
		begun := time.Now()
		if s.browser().login("viewer", password).wantRedirect(t, Root); time.Since(begun) > responseTime {
			t.Errorf("a login took %v", time.Since(begun))
		}
	})
	running.Wait()
	redis.Resume()
	b.get(userPath(s.dev, "ann")).want(t, http.StatusOK, "badge BANNED")

	db.Pause()
	b.all(requests, func(method, path string, got *answer) {
		says := "Nothing was changed"
		if method == http.MethodGet {
			says = "unavailable right now"
		}
		got.want(t, http.StatusServiceUnavailable, says)
	})
	db.Resume()
	b.get(userPath(s.dev, "ann")).want(t, http.StatusOK, "Ann")
}

// slowUsers bans as a test wants, by the user's ID.
type slowUsers struct {
	Users
	ban map[string]func(ctx context.Context) error
}

func (u slowUsers) Ban(ctx context.Context, _ *models.App, ids []string, _ users.Sentence, _ models.Actor) ([]*batch.Result, error) {
	return nil, u.ban[ids[0]](ctx)
}

// TestLateForm_SaysWhatHasBecomeOfTheChange: what a form says that took too long is true.
func TestLateForm_SaysWhatHasBecomeOfTheChange(t *testing.T) {
	t.Parallel() // mostly waits
	s, proxy, _ := throughProxies(t)
	rename := func(tx *gorm.DB, id string) error {
		return tx.Model(&models.User{}).Where("external_id = ?", id).Update("name", "changed").Error
	}
	says := map[string]string{
		"nothing": "Nothing was changed", "done": "The change was made, at least in part", "unknown": "It is unknown whether the change was made",
	}
	begun, resume := make(chan struct{}), make(chan struct{})
	ended := make(map[string]chan error)
	for id := range says {
		s.register(s.dev, id, "former")
		ended[id] = make(chan error, 1)
	}
	s.deps.Users = slowUsers{s.users.ForOperators(), map[string]func(ctx context.Context) error{
		"nothing": func(ctx context.Context) error {
			err := s.db.Tx(ctx, func(tx *gorm.DB) error {
				begun <- struct{}{}
				<-resume
				return rename(tx, "nothing")
			})
			ended["nothing"] <- err
			return err
		},
		"done": func(ctx context.Context) error {
			err := s.db.Tx(ctx, func(tx *gorm.DB) error { return rename(tx, "done") })
			begun <- struct{}{}
			<-resume
			ended["done"] <- err
			return err
		},
		"unknown": func(ctx context.Context) error {
			err := s.db.Tx(ctx, func(tx *gorm.DB) error {
				err := rename(tx, "unknown")
				proxy.Pause()
				return err
			})
			ended["unknown"] <- err
			return err
		},
	}}
	s.serve()
	b := s.as("admin")
	send := func(id string) {
		begun := time.Now()
		status := map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusGatewayTimeout}[id == "nothing"]
		path := userPath(s.dev, id) + "/ban"
		b.post(path, url.Values{"length": {"60"}}).want(t, status, says[id], "<bdi>admin</bdi>", `href="`+path+`">Back to the form`)
		if took := time.Since(begun); took > responseTime {
			t.Errorf("%s took %v", id, took)
		}
	}
	var running sync.WaitGroup
	for _, id := range []string{"nothing", "done"} {
		running.Go(func() { send(id) })
		<-begun
	}
	send("unknown")
	running.Wait()
	proxy.Resume()
	close(resume)
	for id, result := range ended {
		if err := <-result; (err != nil) != (id == "nothing") {
			t.Errorf("%s: it ended with %v", id, err)
		}
		u, err := s.users.ByID(t.Context(), s.dev.ID, id)
		s.check(err)
		if want := map[bool]string{true: "former", false: "changed"}[id == "nothing"]; u.Name != want {
			t.Errorf("%s: the name is %q", id, u.Name)
		}
	}
}

// TestPanicAfterTheTime_IsLogged: the guard no longer waits for the handler.
func TestPanicAfterTheTime_IsLogged(t *testing.T) {
	t.Parallel() // mostly waits
	s := onSQLite(t).inTime()
	panicking := make(chan struct{})
	console := newConsole(s.deps, []route{{"GET /console/{$}", anyone, func(*console, *visit) error {
		<-panicking
		panic("late")
	}}})
	s.serveHandler(console)
	s.browser().within(responseTime, Root).want(t, http.StatusServiceUnavailable)
	close(panicking)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.log.String(), "cause=late"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not logged")
		}
	}
}
