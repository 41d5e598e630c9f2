package node

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

type noLink struct{}

func (noLink) Cut(status.Cause)      {}
func (noLink) Client() status.Client { return status.Client{} }

// TestPresenceEvents connects users at one node and, with Redis, at two. Each change arrives once, those
// of one user on one node coalesced, and the last ones when the nodes stop.
func TestPresenceEvents(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		var mu sync.Mutex
		var got []string
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var event struct {
				Type, AppKey string
				Data         []outbox.PresenceChange
			}
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = json.Unmarshal(body, &event)
			}
			if err != nil || event.Type != "presence.changed" || event.AppKey == "" {
				t.Errorf("received %s, %v", body, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, c := range event.Data {
				got = append(got, c.UserID+" "+c.Presence)
			}
		}))
		defer receiver.Close()

		one := Config{DB: db, Logger: slog.New(slog.DiscardHandler), Clock: time.Now, WebhookAllowPrivate: true}
		nodes, want := make([]*Node, 1), []string{"ann OFFLINE", "bo OFFLINE"}
		if db.Dialect() == database.MySQL {
			nodes, want = make([]*Node, 2), []string{"ann OFFLINE", "ann ONLINE", "bo OFFLINE"}
		}
		url, service := "", testenv.Service()
		if len(nodes) > 1 {
			url = testenv.RedisURL(t)
		}
		for i := range nodes {
			if url != "" {
				one.Redis = testenv.OpenRedis(t, url, service)
			}
			var err error
			if nodes[i], err = New(ctx, one); err != nil {
				t.Fatal(err)
			}
		}
		first, last := nodes[0], nodes[len(nodes)-1]
		app, _, err := first.Apps.Create(ctx, apps.NewApp{
			Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		}, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = first.Webhooks.Create(ctx, app, webhooks.NewEndpoint{URL: receiver.URL, Types: []outbox.Type{outbox.PresenceChanged}}, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		accounts := make(map[string]status.Account)
		for _, id := range []string{"ann", "bo"} {
			if _, err := first.Users.Register(ctx, app, users.Registration{ID: id, Name: id}); err != nil {
				t.Fatal(err)
			}
			u, err := first.Users.ByID(ctx, app.ID, id)
			if err != nil {
				t.Fatal(err)
			}
			accounts[id] = status.AccountOf(u)
		}
		for _, n := range nodes {
			if err := n.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		connect := func(n *Node, id string) *status.Device {
			t.Helper()
			d, err := n.Presence.Connect(ctx, accounts[id], models.PlatformWeb, noLink{}, func(context.Context) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		here, there := connect(first, "ann"), connect(last, "ann")
		here.Gone()
		there.Gone()
		connect(last, "bo")
		for _, n := range slices.Backward(nodes) {
			if err := n.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}

		sending, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			first.Webhooks.Run(sending, time.Second)
		}()
		received := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Sorted(slices.Values(got))
		}
		for end := time.Now().Add(20 * time.Second); len(received()) < len(want) && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		<-ended
		if got := received(); !slices.Equal(got, want) {
			t.Errorf("received %q, want %q", got, want)
		}
	})
}
