package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// selected returns a document that selects text n times under different aliases.
func selected(n int, text string) string {
	var b strings.Builder
	b.WriteString("{ ")
	for i := range n {
		fmt.Fprintf(&b, "a%d: %s ", i, text)
	}
	return b.String() + "}"
}

// An operation is limited by the work that it causes, not by the number of its fields alone.
func TestComplexity_CountsWork(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	bearer := w.Bearer(graphtest.AppServer)
	const search = `userList(first: 1, filter: {search: "a"}) { nodes { id } }`
	within := func(list string) string {
		return `userList(first: 100) { nodes { ` + list + ` } }`
	}
	for name, c := range map[string]struct {
		query     string
		variables map[string]any
		fits      bool
	}{
		"300 searches":                        {selected(300, search), nil, false},
		"9 searches":                          {selected(9, search), nil, true},
		"10 searches":                         {selected(10, search), nil, false},
		"5 searches with a count":             {selected(5, `userList(filter: {search: "a"}) { totalCount }`), nil, false},
		"4 searches with a count":             {selected(4, `userList(filter: {search: "a"}) { totalCount }`), nil, true},
		"counts of one list":                  {"{ userList " + selected(10, "totalCount") + " }", nil, false},
		"counts in fragments":                 {"{ userList " + selected(5, "totalCount") + " bannedUsers { ...c } deactivatedUsers { ...c } } fragment c on UserConnection { a: totalCount b: totalCount c: totalCount }", nil, false},
		"a search in a variable":              {"query($f: UserFilter) " + selected(10, `userList(first: 1, filter: $f) { nodes { id } }`), map[string]any{"f": map[string]any{"search": "a"}}, false},
		"a text in a variable":                {"query($s: String) " + selected(10, `userList(first: 1, filter: {search: $s}) { nodes { id } }`), map[string]any{"s": "a"}, false},
		"no text in a variable":               {"query($s: String) " + selected(10, `userList(first: 1, filter: {search: $s}) { nodes { id } }`), map[string]any{"s": nil}, true},
		"an empty text":                       {selected(10, `userList(first: 1, filter: {search: ""}) { nodes { id } }`), nil, true},
		"300 users by ID":                     {selected(300, `user(id: "a") { id name status { presence } }`), nil, true},
		"300 lists by no state":               {selected(300, `userList(first: 1, filter: {states: []}) { nodes { id } }`), nil, true},
		"pages of the default size":           {selected(400, `userList(first: 0) { nodes { id } }`), nil, false},
		"pages of the default size, fewer":    {selected(300, `userList(first: 0) { nodes { id } }`), nil, true},
		"300 lists by state":                  {selected(300, `userList(first: 1, filter: {states: [BANNED]}) { nodes { id } }`), nil, false},
		"friend IDs of 20 users":              {`{ users(ids: [` + strings.Repeat(`"a" `, 20) + `]) { friendIds } }`, nil, false},
		"friend IDs of 19 users":              {`{ users(ids: [` + strings.Repeat(`"a" `, 19) + `]) { friendIds } }`, nil, true},
		"friend IDs of a page of friends":     {`{ user(id: "ann") { friends { nodes { user { friendIds } } } } }`, nil, false},
		"friend IDs of 15 friends":            {`{ user(id: "ann") { friends(first: 15) { nodes { user { friendIds } } } } }`, nil, true},
		"blocked IDs of 40 users":             {`{ users(ids: [` + strings.Repeat(`"a" `, 40) + `]) { blockedIds } }`, nil, false},
		"devices of 100 users, 10 times":      {selected(10, within(`devices { id }`)), nil, false},
		"devices of 100 users, once":          {selected(1, within(`devices { id }`)), nil, true},
		"a friendship of 100 users, 15 times": {selected(15, within(`friendship(with: "a") { remark }`)), nil, false},
		"a friendship of 100 users, 10 times": {selected(10, within(`friendship(with: "a") { remark }`)), nil, true},
		"pages of 100 users' friends":         {selected(10, within(`friends(first: 1) { nodes { remark } } whitelist { entries(first: 1) { nodes { createdAt } } }`)), nil, false},
		"counts of 100 users' requests":       {selected(2, within(`friendRequests(first: 1, direction: INCOMING) { totalCount }`)), nil, false},
	} {
		r := w.Do(bearer, c.query, c.variables)
		if fits := r.Code() == ""; fits != c.fits || !fits && r.Code() != "QUERY_TOO_COMPLEX" {
			t.Errorf("%s: %d %.200s; fits: %t, want %t", name, r.Status, r.Body, fits, c.fits)
		}
	}
}
