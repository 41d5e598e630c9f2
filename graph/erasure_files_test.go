package graph_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/batch"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// secretMark matches the texts of TestErasure_LeavesNothingInFiles.
var secretMark = regexp.MustCompile(`qvist-[a-z]+-\d{2}-(?:old|new)`)

// fileSecrets returns the marks in SQLite's file and all files beside it.
func fileSecrets(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil || !slices.Contains(names, path) {
		t.Fatal(names, err)
	}
	found := make(map[string]bool)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, mark := range secretMark.FindAll(data, -1) {
			found[string(mark)] = true
		}
	}
	var list []string
	for mark := range found {
		list = append(list, mark)
	}
	slices.Sort(list)
	return list
}

// TestErasure_LeavesNothingInFiles searches SQLite's files for texts of users that are deactivated
// or deleted, or whose texts were overwritten.
func TestErasure_LeavesNothingInFiles(t *testing.T) {
	url := testenv.SQLiteURL(t)
	_, path, _ := strings.Cut(url, ":")
	w := graphtest.New(t, testenv.Open(t, url))
	app := w.Bearer(graphtest.AppServer)
	must := func(bearer, query string, variables map[string]any) {
		t.Helper()
		if r := w.Do(bearer, query, variables); r.Code() != "" || strings.Contains(string(r.Body), `"error":{`) {
			t.Fatalf("%s: %s", query, r.Body)
		}
	}
	const users, each = 60, 20
	id := func(i int) string { return fmt.Sprintf("user-%02d", i) }
	asked := "asked"
	w.Register(w.App, asked)
	// write gives the users all kinds of texts, which contain the age.
	write := func(from, to int, age string) {
		t.Helper()
		mark := func(kind string, i int) string { return fmt.Sprintf("qvist-%s-%02d-%s", kind, i, age) }
		for i := from; i < to; i++ {
			user := "Bearer " + mustRegister(w, id(i), mark("name", i))
			must(app, update, input("userId", id(i), "avatarUrl", "https://example.org/"+mark("avatar", i)))
			must(app, `mutation($input: AddFriendInput!) { addFriend(input: $input) { created } }`,
				input("userId", id(i), "friendId", id(from+(i-from)^1), "remark", mark("remark", i)))
			must(user, `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { __typename } }`,
				input("targetId", asked, "message", mark("request", i)))
			must(app, banMany, input("userIds", []string{id(i)}, "minutes", 5, "reason", mark("reason", i)))
			must(app, `mutation($ids: [ID!]!) { unbanUsers(input: {userIds: $ids}) { results { outcome } } }`, inIDs([]string{id(i)}))
			must(app, banMany, input("userIds", []string{id(i)}, "minutes", 5, "reason", mark("ban", i)))
		}
	}
	// Name, avatar, remark, request, and the reasons of both bans, which the history keeps.
	const live, reasons = 6, 2
	for from := 0; from < users; from += each {
		for i := from; i < from+each; i++ {
			mustRegister(w, id(i), id(i)) // friends must exist
		}
		write(from, from+each, "old")
	}
	if err := w.DB.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	if found := fileSecrets(t, path); len(found) != users*live {
		t.Fatalf("%d texts are in the files, want %d: %q", len(found), users*live, found)
	}

	var first, second []string
	for i := range each {
		first, second = append(first, id(i)), append(second, id(each+i))
	}
	must(app, deactivate, inIDs(first))
	results, err := w.Users.Delete(context.Background(), w.App.App, second, models.Actor{Name: "test"})
	if err != nil || slices.ContainsFunc(results, func(r *batch.Result) bool { return r.Outcome != models.OutcomeDone }) {
		t.Fatal(results, err)
	}
	for i := 2 * each; i < users; i++ {
		must(app, `mutation($ids: [ID!]!) { unbanUsers(input: {userIds: $ids}) { results { outcome } } }`, inIDs([]string{id(i)}))
	}
	write(2*each, users, "new")
	if len(fileSecrets(t, path)) <= each*live {
		t.Error("none of the erased texts was in the files before they were cleaned")
	}
	if err := w.DB.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	found := fileSecrets(t, path)
	overwritten := func(s string) bool {
		return strings.HasSuffix(s, "old") && !strings.Contains(s, "reason") && !strings.Contains(s, "ban")
	}
	if slices.ContainsFunc(found, overwritten) || len(found) != each*(live+reasons) {
		t.Errorf("%d texts are in the files, want %d: %q", len(found), each*(live+reasons), found)
	}
}
