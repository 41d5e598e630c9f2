package graph_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// TestDisabledApp_RefusedOnAllNodes disables an app as a command does, which notifies no node, and
// enables it again.
func TestDisabledApp_RefusedOnAllNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		nodes := graphtest.NewNodes(t, db, 2)
		here, there := nodes[0], nodes[1]
		command := apps.New(db, new(bus.Bus), new(token.Keys), here.Clock.Now)
		testDisabledApp(t, command, here, there)
	})
}

// TestDisabledApp_RefusedOnOneNode disables an app on the only node.
func TestDisabledApp_RefusedOnOneNode(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) { testDisabledApp(t, w.Apps, w) })
}

func testDisabledApp(t *testing.T, by *apps.Service, nodes ...*graphtest.World) {
	ctx, w := t.Context(), nodes[0]
	server, ann, foreign := w.Bearer(graphtest.AppServer), w.Bearer("ann"), w.Bearer(graphtest.OtherServer)
	w.Register(w.App, "bob")
	user, err := w.Users.ByID(ctx, w.App.ID, "ann")
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{ // of App Servers; the first two confirm the token by their own statements
		"permission": `{ messagePermission(fromUserId: "ann", toUserId: "bob") { allowed } }`,
		"user":       `{ user(id: "ann") { id } }`,
		"app":        `{ app { name } }`,
		"mutation":   `mutation { banUsers(input: {userIds: ["ann"], minutes: 1}) { results { outcome } } }`,
	}
	var sockets []*graphtest.Socket
	var streams []*graphtest.Live
	for _, n := range nodes {
		sockets = append(sockets, n.Socket(ann), n.Socket(server))
		streams = append(streams, n.Live("sse", ann, `subscription { statusChanged { presence } }`, nil),
			n.Live("sse", server, `subscription { appStatusChanged { presence } }`, nil))
	}
	stays := nodes[len(nodes)-1].Socket(foreign)

	if app, changed, err := by.Disable(ctx, w.App.Key, operator); !changed || err != nil || !app.Disabled() {
		t.Fatal(app, changed, err)
	}
	for _, n := range nodes {
		for name, query := range queries {
			if r := n.Do(server, query, nil); r.Status != http.StatusUnauthorized || r.Code() != "UNAUTHENTICATED" || !strings.Contains(string(r.Body), "APP_DISABLED") {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		if r := n.Do(ann, `{ me { id } }`, nil); r.Status != http.StatusUnauthorized || !strings.Contains(string(r.Body), "APP_DISABLED") {
			t.Errorf("a user: %d %s", r.Status, r.Body)
		}
		if _, _, err := n.Apps.IssueToken(ctx, w.App.Key, w.App.Secret, time.Hour); !errors.Is(err, fault.AppDisabled) {
			t.Errorf("the secret: %v", err)
		}
		if _, _, err := n.Apps.IssueToken(ctx, w.App.Key, "guess", time.Hour); fault.CodeOf(err) != fault.Unauthenticated || errors.Is(err, fault.AppDisabled) {
			t.Errorf("a wrong secret: %v", err)
		}
		for _, bearer := range []string{ann, server} {
			if code, reason := n.Refusal(bearer); code != 4401 || reason != "APP_DISABLED" {
				t.Errorf("a connect was closed with %d %q", code, reason)
			}
		}
	}
	for _, s := range sockets {
		if code, reason := s.CloseReason(); code != 4401 || reason != "APP_DISABLED" {
			t.Errorf("a WebSocket was closed with %d %q", code, reason)
		}
	}
	for _, s := range streams {
		last := s.Next()
		for last.Code() == "" {
			last = s.Next()
		}
		if last.Code() != "UNAUTHENTICATED" || !strings.Contains(string(last.Body), "APP_DISABLED") {
			t.Errorf("a stream ended with %s", last.Body)
		}
	}
	until(t, "ann OFFLINE", func() bool {
		u, err := w.Users.ByID(context.Background(), w.App.ID, "ann")
		return err == nil && u.Presence == models.PresenceOffline && len(w.Devices(user)) == 0
	})
	stays.Want(`{ app { name } }`, `{"app":{"name":"other"}}`)

	if _, changed, err := by.Disable(ctx, w.App.Key, operator); changed || err != nil {
		t.Errorf("disabled twice: %v %v", changed, err)
	}
	if app, changed, err := by.Enable(ctx, w.App.Key, operator); !changed || err != nil || app.Disabled() {
		t.Fatal(app, changed, err)
	}
	for _, n := range nodes {
		n.Socket(ann).Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
		n.Socket(server).Want(queries["user"], `{"user":{"id":"ann"}}`)
	}
}
