package graph_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// askPersisted sends a document with its hash, or the hash alone, and returns the response's code,
// or its data if there is no error.
func askPersisted(w *graphtest.World, authorization, query string, hashAlone bool) string {
	w.T.Helper()
	request := map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{
		"version": 1, "sha256Hash": fmt.Sprintf("%x", sha256.Sum256([]byte(query))),
	}}}
	if !hashAlone {
		request["query"] = query
	}
	body, err := json.Marshal(request)
	if err != nil {
		w.T.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer resp.Body.Close()
	var r graphtest.Response
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		w.T.Fatal(err)
	}
	if code := r.Code(); code != "" {
		return code
	}
	return string(r.Data)
}

// TestPersistedQuery_SameRules looks up documents that the rules refuse, or refuse to some callers.
func TestPersistedQuery_SameRules(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	server, other, user := w.Bearer(graphtest.AppServer), w.Bearer(graphtest.OtherServer), w.Bearer("ann")
	const notFound = "PERSISTED_QUERY_NOT_FOUND"

	const members = "{ userList { nodes { id } } }"
	for _, c := range []struct {
		as        string
		hashAlone bool
		want      string
	}{
		{server, true, notFound},
		{user, false, "FORBIDDEN"}, // valid, so it is stored
		{user, true, "FORBIDDEN"},
		{server, true, `{"userList":{"nodes":[{"id":"ann"}]}}`},
		{other, true, notFound},
		{other, false, `{"userList":{"nodes":[]}}`},
		{other, true, `{"userList":{"nodes":[]}}`},
		{"", false, "UNAUTHENTICATED"},
		{"", true, notFound},
	} {
		if got := askPersisted(w, c.as, members, c.hashAlone); got != c.want {
			t.Errorf("%q, hash alone %v: %s, want %s", c.as, c.hashAlone, got, c.want)
		}
	}
	for name, query := range map[string]string{"complex": "{ " + pages(14) + "}", "deep": deep(21), "long": strings.Repeat("{ a ", 11_000)} {
		for _, want := range []string{"QUERY_TOO_COMPLEX", notFound} {
			if got := askPersisted(w, server, query, want == notFound); got != want {
				t.Errorf("too %s: %s, want %s", name, got, want)
			}
		}
	}
}

// TestPersistedQuery_RevokedTokenStoresNothing registers a document with an app token of a former
// secret; only the database knows that it is revoked.
func TestPersistedQuery_RevokedTokenStoresNothing(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	former := w.Bearer(graphtest.AppServer)
	_, secret, err := w.Apps.RotateSecret(context.Background(), w.App.Key, 0, models.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	w.App.Secret = secret
	const query = "{ app { name } }"
	for _, hashAlone := range []bool{false, true} {
		if got := askPersisted(w, former, query, hashAlone); got != "UNAUTHENTICATED" {
			t.Errorf("the former token, hash alone %v: %s", hashAlone, got)
		}
	}
	if got := askPersisted(w, w.Bearer(graphtest.AppServer), query, true); got != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("its document: %s", got)
	}
}

// A caller with a hash does not wait longer than others while the database cannot confirm it.
func TestPersistedQuery_TableLocked(t *testing.T) {
	url := testenv.MySQLURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	impatient(w)
	app := w.Bearer(graphtest.AppServer)
	release := hold(t, url, "LOCK TABLES apps WRITE")
	defer release()
	const query = "{ __typename }"
	for _, hashAlone := range []bool{false, true} {
		begun := time.Now()
		got := askPersisted(w, app, query, hashAlone)
		if took := time.Since(begun); got != "UNAVAILABLE" || took > 15*time.Second { // the lock lasts
			t.Errorf("hash alone %v: %s after %s", hashAlone, got, took)
		}
	}
}
