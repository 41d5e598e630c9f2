package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// open replaces the open connections of the development app by one for each address, and returns
// their IDs.
func (s *site) open(addresses ...string) (ids []string) {
	s.t.Helper()
	var list []*models.AppConnection
	for i, address := range addresses {
		list = append(list, &models.AppConnection{
			AppID: s.dev.ID, Transport: []string{"websocket", "sse"}[i%2], Address: address, UserAgent: hostile,
			Generation: s.dev.ConnectionGeneration, ConnectedAt: models.TimeOf(s.clock().Add(-time.Duration(i) * time.Minute)),
		})
	}
	ctx := context.Background()
	s.check(s.node.Sync(ctx, list))
	found, err := s.deps.Connections.List(ctx, s.dev, page.Request{First: 1000})
	s.check(err)
	for _, o := range found.Nodes() {
		ids = append(ids, fmt.Sprint(o.ID))
	}
	return ids
}

func TestConnections(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		admin, viewer := s.as("admin"), s.as("viewer")
		path := connectionsPath(s.dev)
		ask := path + "/close?connection="
		admin.get(path).want(t, http.StatusOK, "No App Server is connected", "!Close all")
		admin.get(path+"/close-all").want(t, http.StatusOK, "No App Server is connected", "!<form class")

		ids := s.open("192.0.2.1", "2001:db8::2")
		admin.get(path).want(t, http.StatusOK, "192.0.2.1", "2001:db8::2", "WebSocket", "Event stream (SSE)", "node/1", "2 connections",
			"&lt;script&gt;alert(1)", "!<script>alert", "Close all connections", ask[:len(ask)-1]+"="+ids[0])
		viewer.get(path).want(t, http.StatusOK, "192.0.2.1", "2 connections", "!Close all", "!close?connection")
		admin.get(connectionsPath(s.prod)).want(t, http.StatusOK, "!192.0.2.1")
		admin.get(path+"/now").want(t, http.StatusOK, "192.0.2.1", "!<html")

		// The question changes nothing.
		admin.get(ask+ids[0]).want(t, http.StatusOK, "Close this connection?", "192.0.2.1", "!2001:db8::2", "its token still allows")
		admin.get(path).want(t, http.StatusOK, "!Closing")
		for _, wrong := range []string{"", "x", "1", "99999999999999999999"} {
			admin.get(ask+wrong).want(t, http.StatusOK, "The connection had already ended", "!<form class")
		}
		admin.get(connectionsPath(s.prod)+"/close?connection="+ids[0]).want(t, http.StatusOK, "already ended", "!192.0.2.1")
		admin.post(path+"/close", url.Values{"connection": {"x"}}).want(t, http.StatusBadRequest)
		admin.post(connectionsPath(s.prod)+"/close", url.Values{"connection": {ids[0]}}).wantRedirect(t, connectionsPath(s.prod))
		admin.get(path).want(t, http.StatusOK, "!Closing")

		admin.post(path+"/close", url.Values{"connection": {ids[0]}}).wantRedirect(t, path)
		got := admin.get(path)
		got.want(t, http.StatusOK, "The connection is being closed.", "!connection="+ids[0], "connection="+ids[1])
		if n := strings.Count(got.body, ">Closing<"); n != 1 {
			t.Errorf("%d are closing", n)
		}
		viewer.get(path).want(t, http.StatusOK, ">Closing<")
		admin.get(ask+ids[0]).want(t, http.StatusOK, "already ended", "!<form class")
		admin.post(path+"/close", url.Values{"connection": {ids[0]}}).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "The connection had already ended.")

		admin.get(path+"/close-all").want(t, http.StatusOK, "Close all connections of App Servers?", "2 connections")
		admin.post(path+"/close-all", nil).wantRedirect(t, path)
		got = admin.get(path)
		got.want(t, http.StatusOK, "All connections are being closed.", "!close?connection")
		if n := strings.Count(got.body, ">Closing<"); n != 2 {
			t.Errorf("%d are closing", n)
		}
		s.check(s.node.Sync(t.Context(), nil))
		admin.get(path).want(t, http.StatusOK, "No App Server is connected")
		admin.get("/console/audit?app="+s.dev.Key).want(t, http.StatusOK, "Closed a connection of an App Server",
			"Transport: WebSocket<", "Address: <bdi>192.0.2.1</bdi>", "Node: <bdi>node/1</bdi>", "Closed all connections of App Servers")
	})
}

// TestConnectionsPages: a page has a bounded length and polls its current state.
func TestConnectionsPages(t *testing.T) {
	s := onSQLite(t)
	var addresses []string
	for i := range pageSizes[0] + 3 {
		addresses = append(addresses, fmt.Sprintf("192.0.2.%d", 100+i))
	}
	s.open(addresses...)
	b := s.as("viewer")
	first := b.get(connectionsPath(s.dev))
	listed := func(a *answer) []string { return regexp.MustCompile(`192\.0\.2\.\d+`).FindAllString(a.body, -1) }
	if got := listed(first); !slices.Equal(got, addresses[:pageSizes[0]]) {
		t.Errorf("the first page has %q", got)
	}
	first.want(t, http.StatusOK, fmt.Sprintf("%d connections", len(addresses)))
	at := slices.IndexFunc(first.links(), func(link string) bool { return strings.Contains(link, "after=") })
	if at < 0 {
		t.Fatal("there is no second page")
	}
	next := first.links()[at]
	for _, path := range []string{next, strings.Replace(next, "?", "/now?", 1)} {
		second := b.get(path)
		if got := listed(second); !slices.Equal(got, addresses[pageSizes[0]:]) {
			t.Errorf("%s has %q", path, got)
		}
		second.want(t, http.StatusOK, fmt.Sprintf(`href="%s"`, connectionsPath(s.dev)))
		if strings.Contains(path, "/now") {
			continue
		}
		second.want(t, http.StatusOK, connectionsPath(s.dev)+"/now?after=")
	}
	b.get(connectionsPath(s.dev)+"?after=x").want(t, http.StatusBadRequest)
}
