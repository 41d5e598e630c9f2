package cli

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/opaque"
	"rollcall/internal/testenv"
)

// ask sends a document and returns the response's body, which must contain no errors.
func (n *server) ask(token, document string) string {
	n.t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		n.t.Fatal(err)
	}
	status, answer := n.post(token, string(body))
	if status != http.StatusOK || strings.Contains(answer, `"errors"`) {
		n.t.Fatalf("%s: %d %s", document, status, answer)
	}
	return answer
}

// post sends a body to /graphql and returns the response's status and body.
func (n *server) post(token, body string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequest(http.MethodPost, n.base+"/graphql", strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return doBy(n.t, &n.client, req)
}

// bearer returns the app token that a first start prints.
func (n *server) bearer() string {
	n.t.Helper()
	return regexp.MustCompile(`Bearer (\S+)'`).FindStringSubmatch(n.banner())[1]
}

var texts = regexp.MustCompile(`"(?:endCursor|requestId)":"([^"]+)"`)

// TestServe_SealsNumbersWithItsOwnSecret checks that the cursors of each list and the IDs of friend
// requests are encrypted with the secret in the database.
func TestServe_SealsNumbersWithItsOwnSecret(t *testing.T) {
	n := start(t, testenv.SQLiteURL(t))
	app := n.bearer()
	answer := n.ask(app, `mutation {
		a: registerUser(input: {id: "ann", name: "Ann"}) { token }
		b: registerUser(input: {id: "bob", name: "Bob"}) { token }
		c: registerUser(input: {id: "cid", name: "Cid"}) { token }
		d: registerUser(input: {id: "dan", name: "Dan"}) { token }
		addFriend(input: {userId: "ann", friendId: "cid"}) { created }
		addToWhitelist(input: {userId: "ann", targetIds: ["cid"]}) { results { outcome } }
		addToBlocklist(input: {userId: "ann", targetIds: ["cid"]}) { results { outcome } }
		banUsers(input: {userIds: ["cid"], minutes: 5}) { results { userId } }
		deactivateUsers(input: {userIds: ["dan"]}) { results { userId } }
	}`)
	var made struct{ Data map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		t.Fatal(err)
	}
	token := func(alias string) string {
		var one struct{ Token string }
		if err := json.Unmarshal(made.Data[alias], &one); err != nil {
			t.Fatal(err)
		}
		return one.Token
	}
	n.ask(token("a"), `mutation {
		subscribeStatus(input: {targetIds: ["bob"]}) { evictedIds }
		sendFriendRequest(input: {targetId: "bob"}) { __typename }
	}`)
	all := n.ask(app, `{
		userList { pageInfo { endCursor } }
		bannedUsers { pageInfo { endCursor } }
		deactivatedUsers { pageInfo { endCursor } }
		ann: user(id: "ann") {
			friends { pageInfo { endCursor } }
			blocklist { pageInfo { endCursor } }
			whitelist { entries { pageInfo { endCursor } } }
			friendRequests(direction: OUTGOING) { nodes { requestId: id } pageInfo { endCursor } }
			statusSubscriptions { pageInfo { endCursor } }
		}
		bob: user(id: "bob") {
			friendRequests(direction: INCOMING) { nodes { requestId: id } pageInfo { endCursor } }
		}
	}`)
	found := texts.FindAllStringSubmatch(all, -1)
	if len(found) != 9+2 {
		t.Fatalf("%d cursors and IDs: %s", len(found), all)
	}
	lists := []string{"users", "banned", "deactivated", "friends", "blocklist", "whitelist", "outgoing", "incoming", "subscriptions", "friend request"}
	for _, text := range found {
		for _, list := range lists {
			for owner := range int64(10) {
				if a, b, ok := (opaque.Secret{}).Sealer(list, owner).Open(text[1]); ok {
					t.Errorf("%s is %d, %d of %s, encrypted without a secret", text[0], a, b, list)
				}
			}
		}
	}
}
