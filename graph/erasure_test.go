package graph_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/database"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// Texts that no other user has, so that a trace of one is a trace of the user.
const (
	erasedName   = "Zebulon Qvist"
	erasedAvatar = "https://example.org/qvist-portrait.png"
	erasedReason = "sold snake oil"
	erasedRemark = "my uncle Zeb"
	erasedAsking = "remember the regatta"
	// erasedKey becomes the first user's users.id: the only larger numbers in any table are times,
	// which are larger still.
	erasedKey = 900_000_000_001
)

// traces searches every column of every table for the keys of users from erasedKey on, and for the
// texts that only they had.
func traces(w *graphtest.World, erased map[int64]bool) []string {
	w.T.Helper()
	tables := `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`
	if w.DB.Dialect() == database.SQLite {
		tables = `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	}
	ctx := context.Background()
	var names, found []string
	if err := w.DB.Read(ctx).Raw(tables).Scan(&names).Error; err != nil || len(names) < 6 {
		w.T.Fatal(names, err)
	}
	for _, table := range names {
		rows, err := w.DB.Read(ctx).Raw("SELECT * FROM " + table).Rows()
		if err != nil {
			w.T.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			w.T.Fatal(err)
		}
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				w.T.Fatal(err)
			}
			for i, column := range columns {
				if text := values[i].String; trace(text) {
					found = append(found, fmt.Sprintf("%s.%s: %s", table, column, text))
				} else if key, err := strconv.ParseInt(text, 10, 64); err == nil && erased[key] && (table != "users" || column != "id") {
					found = append(found, fmt.Sprintf("%s.%s: the key of an erased user", table, column))
				}
			}
		}
		if err := rows.Err(); err != nil {
			w.T.Fatal(err)
		}
		rows.Close()
	}
	return found
}

// trace reports whether text contains anything that was erased.
func trace(text string) bool {
	text = strings.ToLower(text)
	for _, secret := range []string{erasedName, "zebulon", "qvist", erasedReason, erasedRemark, erasedAsking} {
		if strings.Contains(text, strings.ToLower(secret)) {
			return true
		}
	}
	return false
}

// numberFrom makes the keys of the next users follow key.
func numberFrom(w *graphtest.World, key int64) {
	w.T.Helper()
	ctx := context.Background()
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO users (id, app_id, external_id, name, search_name, created_at, updated_at, token_generation, tokens_valid_from, presence)
			VALUES (%d, 0, '', '', '', 0, 0, 0, 0, 0)`, key-1),
		fmt.Sprintf(`DELETE FROM users WHERE id = %d`, key-1),
	} {
		if err := w.DB.Exec(ctx, sql); err != nil {
			w.T.Fatal(err)
		}
	}
}

// involve gives a user everything that an account can have, with five other users.
func involve(w *graphtest.World, id string) {
	w.T.Helper()
	app := w.Bearer(graphtest.AppServer)
	user := "Bearer " + mustRegister(w, id, erasedName)
	others := map[string]string{}
	for _, other := range []string{"friend", "asker", "asked", "blocked", "listed"} {
		others[other] = "Bearer " + mustRegister(w, other, other)
	}
	for _, step := range []struct {
		bearer, query string
		variables     map[string]any
	}{
		{app, update, input("userId", id, "avatarUrl", erasedAvatar)},
		{app, `mutation($input: AddFriendInput!) { addFriend(input: $input) { created } }`, input("userId", id, "friendId", "friend", "remark", "a friend of "+erasedName)},
		{others["friend"], `mutation($input: SetFriendRemarkInput!) { setFriendRemark(input: $input) { __typename } }`, input("friendId", id, "remark", erasedRemark)},
		{others["asker"], `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { __typename } }`, input("targetId", id, "message", erasedAsking)},
		{user, `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { __typename } }`, input("targetId", "asked", "message", erasedName)},
		{user, `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { outcome } } }`, input("targetIds", []string{"blocked", "friend"})},
		{others["listed"], `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { outcome } } }`, input("targetIds", []string{id})},
		{app, `mutation($input: WhitelistInput!) { addToWhitelist(input: $input) { results { outcome } } }`, input("userId", id, "targetIds", []string{"listed"})},
		{app, `mutation($input: WhitelistInput!) { addToWhitelist(input: $input) { results { outcome } } }`, input("userId", "listed", "targetIds", []string{id})},
		{app, `mutation($input: SetWhitelistEnabledInput!) { setWhitelistEnabled(input: $input) { results { outcome } } }`, input("userIds", []string{id}, "enabled", true)},
		{app, banMany, input("userIds", []string{id}, "minutes", 60, "reason", erasedReason)},
	} {
		if r := w.Do(step.bearer, step.query, step.variables); r.Code() != "" {
			w.T.Fatalf("%s: %s", step.query, r.Body)
		}
	}
}

func TestErasure_IsComplete(t *testing.T) {
	for _, end := range ends[1:3] { // deactivation and deletion
		t.Run(end.name, func(t *testing.T) {
			graphtest.Each(t, func(w *graphtest.World) {
				numberFrom(w, erasedKey)
				// What happens is recorded for an App Server, which is not reached.
				if _, _, err := w.Webhooks.Create(context.Background(), w.App.App, webhooks.NewEndpoint{URL: "https://example.org/hook"}, models.Actor{}); err != nil {
					t.Fatal(err)
				}
				involve(w, "zeb")
				recorded := func(text string) bool { return strings.HasPrefix(text, "events.personal: ") }
				if !slices.ContainsFunc(traces(w, nil), recorded) {
					t.Fatal("no event has anything to erase")
				}
				if found := traces(w, map[int64]bool{erasedKey: true}); len(found) < 12 {
					t.Fatalf("there is too little to erase: %q", found)
				}
				// Subscribers that receive the event receive nothing else about the user.
				var watchers []*graphtest.Live
				for who, subscription := range map[string]string{
					"friend":              `subscription { relationshipChanged { kind user { id name avatarUrl ban { reason } } } }`,
					graphtest.AppServer:   `subscription { userStatus(ids: ["zeb"]) { userId customStatus presence } }`,
					"asked":               `subscription { relationshipChanged { kind user { id name avatarUrl } } }`,
					"listed":              `subscription { relationshipChanged { kind user { id name avatarUrl } } }`,
					"asker":               `subscription { relationshipChanged { kind user { id name avatarUrl } } }`,
					graphtest.OtherServer: `{ app { name } }`,
				} {
					watch := w.Live("websocket", w.Bearer(who), subscription, nil)
					watch.Received() // the status before
					watchers = append(watchers, watch)
				}
				end.do(w, "zeb")
				if found := traces(w, map[int64]bool{erasedKey: true}); len(found) != 0 {
					t.Errorf("left of the user:\n%s", strings.Join(found, "\n"))
				}
				for _, watch := range watchers {
					for _, event := range watch.Received() {
						if trace(string(event.Body)) {
							t.Errorf("an event is %s", event.Body)
						}
					}
					watch.Close()
				}
				if trace(w.Log.String()) {
					t.Errorf("the log has a trace:\n%s", w.Log)
				}
				// Entries of other users that referred to the user are gone, and the counts are
				// right.
				for _, other := range []string{"friend", "asker", "asked", "blocked", "listed"} {
					w.Run(graphtest.Scenario{Name: other, As: other, Query: `{ me { friendIds friends { totalCount } blockedIds blocklist { totalCount }
						incoming: friendRequests(direction: INCOMING) { totalCount } outgoing: friendRequests(direction: OUTGOING) { totalCount } } }`,
						WantData: `{"me":{"friendIds":[],"friends":{"totalCount":0},"blockedIds":[],"blocklist":{"totalCount":0},"incoming":{"totalCount":0},"outgoing":{"totalCount":0}}}`})
				}
				w.Run(graphtest.Scenario{Name: "the whitelist", As: graphtest.AppServer, Query: `{ user(id: "listed") { whitelist { entries { totalCount nodes { user { id } } } } } }`,
					WantData: `{"user":{"whitelist":{"entries":{"totalCount":0,"nodes":[]}}}}`})
				w.Restart()
				if found := traces(w, map[int64]bool{erasedKey: true}); len(found) != 0 {
					t.Errorf("left of the user after a restart:\n%s", strings.Join(found, "\n"))
				}
				if end.name == "deactivate" {
					call(w, reactivate, inIDs([]string{"zeb"}))
					w.Run(graphtest.Scenario{Name: "given back empty", As: graphtest.AppServer, Query: `{ user(id: "zeb") { name avatarUrl ban { reason } friendIds blockedIds
						friendRequests(direction: INCOMING) { totalCount } whitelist { enabled entries { totalCount } } } }`,
						WantData: `{"user":{"name":"","avatarUrl":null,"ban":null,"friendIds":[],"blockedIds":[],"friendRequests":{"totalCount":0},"whitelist":{"enabled":false,"entries":{"totalCount":0}}}}`})
				}
			})
		})
	}
}

// TestErasure_WhileOthersWrite: nothing that is written concurrently remains.
func TestErasure_WhileOthersWrite(t *testing.T) {
	const rounds = 8
	graphtest.Each(t, func(w *graphtest.World) {
		numberFrom(w, erasedKey)
		app := w.Bearer(graphtest.AppServer)
		other := "Bearer " + mustRegister(w, "other", "other")
		erased := map[int64]bool{}
		for round := range rounds {
			id := fmt.Sprint("zeb-", round)
			user := "Bearer " + mustRegister(w, id, erasedName)
			row, err := w.Users.ByID(context.Background(), w.App.ID, id)
			if err != nil {
				t.Fatal(err)
			}
			erased[row.ID] = true
			var writers sync.WaitGroup
			answered := make(chan struct{})
			for _, write := range []struct {
				bearer, query string
				variables     map[string]any
			}{
				{app, update, input("userId", id, "name", erasedName, "avatarUrl", erasedAvatar)},
				{app, register, input("id", id, "name", erasedName)},
				{app, registerMany, input("users", []map[string]any{{"id": id, "name": erasedName}, {"id": "other", "name": "other"}})},
				{app, banMany, input("userIds", []string{id}, "minutes", 1, "reason", erasedReason)},
				{app, `mutation($input: AddFriendInput!) { addFriend(input: $input) { created } }`, input("userId", "other", "friendId", id, "remark", erasedRemark)},
				{other, `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { __typename } }`, input("targetId", id, "message", erasedAsking)},
				{other, `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { outcome } } }`, input("targetIds", []string{id})},
				{user, `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { outcome } } }`, input("targetIds", []string{"other"})},
				{app, `mutation($input: WhitelistInput!) { addToWhitelist(input: $input) { results { outcome } } }`, input("userId", "other", "targetIds", []string{id})},
			} {
				writers.Go(func() {
					for {
						r := w.Do(write.bearer, write.query, write.variables)
						if r.Code() == "INTERNAL" {
							t.Errorf("%s: %s", write.query, r.Body)
						}
						select {
						case <-answered:
							return
						default:
						}
					}
				})
			}
			for range round {
				w.Do(app, `{ __typename }`, nil)
			}
			call(w, deactivate, inIDs([]string{id}))
			close(answered)
			writers.Wait()
		}
		if found := traces(w, erased); len(found) != 0 {
			t.Errorf("left of the users:\n%s", strings.Join(found, "\n"))
		}
		if trace(w.Log.String()) {
			t.Errorf("the log has a trace:\n%s", w.Log)
		}
		var row models.User
		if err := w.DB.Read(context.Background()).Where("external_id = ?", "other").Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if row.FriendCount != 0 || row.BlockCount != 0 || row.WhitelistCount != 0 {
			t.Errorf("the counts of the remaining users: %+v", row)
		}
		r := w.Do(app, `{ app { registeredUserCount } deactivatedUsers { totalCount } }`, nil)
		var data struct {
			App              struct{ RegisteredUserCount int }
			DeactivatedUsers struct{ TotalCount int }
		}
		if err := json.Unmarshal(r.Data, &data); err != nil || data.App.RegisteredUserCount != 1 || data.DeactivatedUsers.TotalCount != rounds {
			t.Errorf("the counts of the app: %s %v", r.Body, err)
		}
	})
}
