package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newNode returns a node on db that has not been started, and its log.
func newNode(t *testing.T, db *database.DB) (*Node, *testenv.Log) {
	t.Helper()
	log := new(testenv.Log)
	n, err := New(t.Context(), Config{DB: db, Logger: slog.New(slog.NewTextHandler(log, nil)), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return n, log
}

// TestClose_BeforeStart closes a node whose start has failed: nothing of it uses the database afterwards.
func TestClose_BeforeStart(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	n, log := newNode(t, db)
	if err := n.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(1500 * time.Millisecond) // a node that is not closed looks for dead ones each second
	if text := log.String(); text != "" {
		t.Errorf("the log: %s", text)
	}
}

// brokenListener fails at the first connection.
type brokenListener struct{ net.Listener }

var errListener = errors.New("the listener is broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errListener }

// TestServe_DrainsIfAListenerFails checks that the node ends as if it had been asked to, and returns the
// error.
func TestServe_DrainsIfAListenerFails(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	n, log := newNode(t, db)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = n.Serve(t.Context(), &Listeners{Public: public, Console: brokenListener{broken}}, Drain{Timeout: 30 * time.Second})
	if !errors.Is(err, errListener) || !strings.HasPrefix(err.Error(), "serving: ") {
		t.Errorf("the error is %v", err)
	}
	if conn, err := net.Dial("tcp", public.Addr().String()); err == nil {
		conn.Close()
		t.Error("the other listener still accepts connections")
	}
	if _, err := n.Jobs.Start(t.Context(), new(models.App), models.JobClear, 0, models.Actor{}, nil); err == nil {
		t.Error("a job was started after the end")
	}
	if text := log.String(); strings.Count(text, "msg=stopped") != 1 {
		t.Errorf("the log: %s", text)
	}
	if err := n.Close(context.Background()); err != nil || strings.Count(log.String(), "msg=stopped") != 1 {
		t.Errorf("closing again: %v\n%s", err, log)
	}
}

// TestServe_AcceptsConnectionsDuringTheDelay asks a node that was told to end whether it is ready, on new
// connections.
func TestServe_AcceptsConnectionsDuringTheDelay(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	n, _ := newNode(t, db)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	served := make(chan error, 1)
	go func() {
		served <- n.Serve(ctx, &Listeners{Public: public}, Drain{Delay: 2 * time.Second, Timeout: 30 * time.Second})
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ready := func() int {
		res, err := client.Get("http://" + public.Addr().String() + "/readyz")
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	until := func(status int) {
		for start := time.Now(); ready() != status; {
			if time.Since(start) > 20*time.Second {
				t.Fatalf("the status of /readyz is not %d", status)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	until(http.StatusOK)
	end()
	until(http.StatusServiceUnavailable)
	until(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestOffline_ErasesAsANode registers a user on a node and deletes it with the rules of a command.
func TestOffline_ErasesAsANode(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		n, _ := newNode(t, db)
		defer n.Close(context.Background())
		app, _, err := n.Apps.Create(ctx, apps.NewApp{
			Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		}, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"ann", "bob"} {
			if _, err := n.Users.Register(ctx, app, users.Registration{ID: id, Name: id}); err != nil {
				t.Fatal(err)
			}
		}
		ann, err := n.Users.ByID(ctx, app.ID, "ann")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Subscriptions.Subscribe(ctx, app, ann, []string{"bob"}); err != nil {
			t.Fatal(err)
		}
		rules := Offline(db, time.Now)
		results, err := rules.Users.Delete(ctx, app, []string{"ann"}, audit.CommandLine)
		if err != nil || results[0].Outcome != models.OutcomeDone {
			t.Fatalf("%+v, %v", results, err)
		}
		var left int64
		if err := db.Read(ctx).Table("status_subscriptions").Count(&left).Error; err != nil || left != 0 {
			t.Errorf("%d subscriptions of the deleted user are left, %v", left, err)
		}
	})
}

// TestRoutes_ConsoleApart checks which listener serves the console.
func TestRoutes_ConsoleApart(t *testing.T) {
	for _, apart := range []bool{false, true} {
		n, err := New(t.Context(), Config{
			DB: testenv.Open(t, testenv.SQLiteURL(t)), Logger: slog.New(slog.DiscardHandler), Clock: time.Now, ConsoleApart: apart,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close(context.Background())
		for _, c := range []struct {
			handler http.Handler
			serves  bool
		}{{n.Public, !apart}, {n.Console, true}, {n.Ops, false}} {
			request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1/console/login", nil)
			if err != nil {
				t.Fatal(err)
			}
			response := httptest.NewRecorder()
			c.handler.ServeHTTP(response, request)
			if got := response.Code == http.StatusOK; got != c.serves {
				t.Errorf("apart %t: %d, want the console %t", apart, response.Code, c.serves)
			}
		}
	}
}
