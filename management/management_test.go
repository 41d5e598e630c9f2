package management_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
	"rollcall/management"
	"rollcall/models"
	"rollcall/node"
)

// TestAPI_DoesWhatAnOwnerDoes goes through all fields on both databases, and checks that the audit names
// the operator and the key of each change.
func TestAPI_DoesWhatAnOwnerDoes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, func(cfg *node.Config) { cfg.ConsoleURL = "https://console.example" })
		key := w.key(w.carol, "deploy")
		w.operator("vera", models.Grant{Role: models.RoleViewer, AllApps: true})

		w.do(key, `{ viewer { role allApps apps { key } operator { name role } apiKey { id name prefix role lastUsedAddress } } }`, "").
			wantData(t, fmt.Sprintf(`{"viewer": {"role": "OWNER", "allApps": true, "apps": [], "operator": {"name": "carol", "role": "OWNER"},
				"apiKey": {"id": "1", "name": "deploy", "prefix": %q, "role": "OWNER", "lastUsedAddress": "127.0.0.1"}}}`, key[:12]))

		made := w.do(key, `mutation { createApp(input: {name: "shop", environment: PRODUCTION}) { secret app { key name edition registeredUserCount registeredUserLimit webhookEndpoints { url } } } }`, "")
		payload, _ := made.Data["createApp"].(map[string]any)
		shop, _ := payload["app"].(map[string]any)
		if secret, _ := payload["secret"].(string); len(secret) < 40 || shop["edition"] != "STANDARD" || shop["registeredUserLimit"] != 10000.0 || shop["registeredUserCount"] != 0.0 {
			t.Fatal(made.text)
		}
		appKey := shop["key"].(string)
		variables := fmt.Sprintf(`{"key": %q}`, appKey)

		w.do(key, `mutation($key: ID!) { updateAppSettings(input: {appKey: $key, settings: {name: "store", edition: PREMIUM, statusQueryEnabled: true, profileEditEnabled: false, friendLimit: 0, friendRequestPolicy: NOBODY, deviceLimit: null, banPresets: "180m Spam"}}) {
			app { name edition banPresets settings { statusQueryEnabled profileEditEnabled friendLimit friendRequestPolicy deviceLimit } } } }`, variables).
			wantData(t, `{"updateAppSettings": {"app": {"name": "store", "edition": "PREMIUM", "banPresets": "3h Spam", "settings": {"statusQueryEnabled": true, "profileEditEnabled": false, "friendLimit": 0, "friendRequestPolicy": "NOBODY", "deviceLimit": 20}}}}`)
		w.do(key, `mutation($in: UpdateAppSettingsInput!) { updateAppSettings(input: $in) { app { settings { friendLimit statusQueryEnabled } } } }`,
			fmt.Sprintf(`{"in": {"appKey": %q, "settings": {"friendLimit": 7, "statusQueryEnabled": false}}}`, appKey)).
			wantData(t, `{"updateAppSettings": {"app": {"settings": {"friendLimit": 7, "statusQueryEnabled": false}}}}`)

		ends := models.TimeOf(w.clock().Add(time.Hour))
		rotated := w.do(key, `mutation($key: ID!) { rotateAppSecret(input: {appKey: $key, overlapSeconds: 3600}) { secret app { previousSecretEndsAt } } }`, variables)
		payload, _ = rotated.Data["rotateAppSecret"].(map[string]any)
		if secret, _ := payload["secret"].(string); len(secret) < 40 || !strings.Contains(rotated.text, ends.String()) {
			t.Error(rotated.text)
		}
		w.do(key, `query($key: ID!) { app(key: $key) { name } }`, variables).wantData(t, `{"app": {"name": "store"}}`)

		disabled := w.do(key, `mutation($key: ID!) { a: disableApp(input: {appKey: $key}) { changed app { disabledAt } } b: disableApp(input: {appKey: $key}) { changed } c: enableApp(input: {appKey: $key}) { changed app { disabledAt } } d: enableApp(input: {appKey: $key}) { changed } }`, variables)
		disabled.wantData(t, fmt.Sprintf(`{"a": {"changed": true, "app": {"disabledAt": %q}}, "b": {"changed": false}, "c": {"changed": true, "app": {"disabledAt": null}}, "d": {"changed": false}}`, models.TimeOf(w.clock())))

		w.do(key, `mutation { createApp(input: {name: "old", environment: DEVELOPMENT}) { app { name } } }`, "").wantData(t, `{"createApp": {"app": {"name": "old"}}}`)
		old, _ := w.do(key, `{ apps(first: 1) { nodes { key } } }`, "").Data["apps"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["key"].(string)
		of := fmt.Sprintf(`{"key": %q}`, old)
		w.do(key, `mutation($key: ID!) { deleteApp(input: {appKey: $key, name: "old"}) { app { deletingAt } } }`, of).wantRefused(t, "FORBIDDEN", "", "enabled")
		w.do(key, `mutation($key: ID!) { disableApp(input: {appKey: $key}) { changed } }`, of)
		w.do(key, `mutation($key: ID!) { deleteApp(input: {appKey: $key, name: "new"}) { app { deletingAt } } }`, of).wantRefused(t, "INVALID_ARGUMENT", "input.name", "eq")
		w.do(key, `mutation($key: ID!) { deleteApp(input: {appKey: $key, name: "old"}) { app { deletingAt } } }`, of).
			wantData(t, fmt.Sprintf(`{"deleteApp": {"app": {"deletingAt": %q}}}`, models.TimeOf(w.clock())))
		w.do(key, `mutation($key: ID!) { updateAppSettings(input: {appKey: $key, settings: {friendLimit: 1}}) { app { key } } }`, of).wantRefused(t, "FORBIDDEN", "", "")

		invited := w.do(key, `mutation($key: ID!) { inviteOperator(input: {name: "ivan", role: ADMIN, appKeys: [$key]}) { link invitation { id name role allApps apps { key } invitedBy } } }`, variables)
		if !strings.Contains(invited.text, `"link":"https://console.example/console/invitation/`) || !strings.Contains(invited.text, `"apps":[{"key":"`+appKey+`"}],"invitedBy":"carol"`) {
			t.Error(invited.text)
		}
		w.do(key, `{ invitations { id name } }`, "").wantData(t, `{"invitations": [{"id": "1", "name": "ivan"}]}`)
		w.do(key, `mutation { a: revokeInvitation(input: {id: "1"}) { revoked } b: revokeInvitation(input: {id: "1"}) { revoked } }`, "").
			wantData(t, `{"a": {"revoked": true}, "b": {"revoked": false}}`)

		w.do(key, `mutation { setOperatorRole(input: {name: "vera", role: ADMIN, allApps: true}) { changed operator { name role allApps apps { key } } } }`, "").
			wantData(t, `{"setOperatorRole": {"changed": true, "operator": {"name": "vera", "role": "ADMIN", "allApps": true, "apps": []}}}`)
		w.do(key, `{ operator(name: "vera") { role hasSecondFactor passwordTemporary } operators { name } }`, "").
			wantData(t, `{"operator": {"role": "ADMIN", "hasSecondFactor": false, "passwordTemporary": false}, "operators": [{"name": "carol"}, {"name": "vera"}]}`)
		_, err := w.node.Operators.Login(t.Context(), operators.LoginRequest{Name: "vera", Password: "tidy harbour", Address: "192.0.2.1"})
		w.check(err)
		w.do(key, `mutation { a: endOperatorSessions(input: {name: "vera"}) { ended } b: endOperatorSessions(input: {name: "vera"}) { ended } }`, "").
			wantData(t, `{"a": {"ended": 1}, "b": {"ended": 0}}`)
		w.do(key, `mutation { deleteOperator(input: {name: "vera"}) { name } }`, "").wantData(t, `{"deleteOperator": {"name": "vera"}}`)

		var changes []string
		for _, e := range w.entries(20) {
			switch {
			case e.Actor == "carol" && e.ActorKey == "deploy" && e.Address == "127.0.0.1":
				changes = append(changes, e.Action)
			case e.Actor == "carol":
				t.Errorf("an entry without its key: %+v", e)
			}
		}
		slices.Reverse(changes)
		want := []string{
			"app.create", "app.set", "app.set", "app.rotate_secret", "app.disable", "app.enable", "app.create", "app.disable", "app.delete", "operator.invite", "operator.revoke_invitation",
			"operator.set_role", "operator.end_sessions", "operator.delete",
		}
		if !slices.Equal(changes, want) {
			t.Errorf("the audit has %q, want %q", changes, want)
		}
		w.do(key, `query($f: AuditFilter) { audit(first: 1, filter: $f) { totalCount nodes { actor apiKey action target app { key } } pageInfo { hasNextPage } } }`,
			fmt.Sprintf(`{"f": {"appKey": %q, "action": "app.set", "actor": "carol", "from": "2026-11-20T08:00:00Z"}}`, appKey)).
			wantData(t, fmt.Sprintf(`{"audit": {"totalCount": 2, "nodes": [{"actor": "carol", "apiKey": "deploy", "action": "app.set", "target": %q, "app": {"key": %q}}], "pageInfo": {"hasNextPage": true}}}`, appKey, appKey))

		w.do(key, `{ audit(filter: {text: "DEPLOY", action: "operator.delete"}) { totalCount nodes { target } } }`, "").
			wantData(t, `{"audit": {"totalCount": 1, "nodes": [{"target": "vera"}]}}`)
		w.do(key, `mutation { revokeApiKey(input: {id: "1"}) { apiKey { name operator } } }`, "").
			wantData(t, `{"revokeApiKey": {"apiKey": {"name": "deploy", "operator": "carol"}}}`)
		if r := w.do(key, `{ viewer { role } }`, ""); r.status != http.StatusUnauthorized || r.code() != "UNAUTHENTICATED" {
			t.Errorf("a revoked key: %d %s", r.status, r.text)
		}
	})
}

// TestApps_ArePagedByKeyset reads the apps page by page.
func TestApps_ArePagedByKeyset(t *testing.T) {
	w := onSQLite(t)
	w.app("third", models.EnvironmentDevelopment)
	key := w.keyWith(w.carol, "pages", models.Grant{Role: models.RoleViewer, AllApps: true})
	names, after := []string{}, "null"
	for range 3 {
		r := w.do(key, `query($after: String) { apps(first: 1, after: $after) { totalCount edges { node { name } cursor } pageInfo { hasNextPage endCursor } } }`, `{"after": `+after+`}`)
		connection, _ := r.Data["apps"].(map[string]any)
		if connection["totalCount"] != 3.0 {
			t.Fatal(r.text)
		}
		edge := connection["edges"].([]any)[0].(map[string]any)
		names = append(names, edge["node"].(map[string]any)["name"].(string))
		after = fmt.Sprintf("%q", edge["cursor"])
		if more := connection["pageInfo"].(map[string]any)["hasNextPage"]; more != (len(names) < 3) {
			t.Errorf("after %q: hasNextPage is %v", names, more)
		}
	}
	if !slices.Equal(names, []string{"third", "live", "demo"}) {
		t.Errorf("the apps are %q", names)
	}
	w.do(key, `{ apps(first: 0) { nodes { key } } }`, "").wantRefused(t, "INVALID_ARGUMENT", "first", "min")
	w.do(key, `{ apps(first: 101) { nodes { key } } }`, "").wantRefused(t, "INVALID_ARGUMENT", "first", "max")
	w.do(key, `{ apps(after: "x") { nodes { key } } }`, "").wantRefused(t, "INVALID_ARGUMENT", "after", "cursor")
}

func TestRefusals_NameFieldAndRule(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	w.operator("vera", models.Grant{Role: models.RoleViewer, AllApps: true})
	for _, test := range []struct{ document, code, field, rule string }{
		{`mutation { createApp(input: {name: "demo", environment: DEVELOPMENT}) { secret } }`, "INVALID_ARGUMENT", "input.name", "unique"},
		{`mutation { createApp(input: {name: " ", environment: DEVELOPMENT}) { secret } }`, "INVALID_ARGUMENT", "input.name", "name"},
		{`mutation { updateAppSettings(input: {appKey: "KEY", settings: {friendLimit: 100001}}) { app { key } } }`, "INVALID_ARGUMENT", "input.settings.friendLimit", "max"},
		{`mutation { updateAppSettings(input: {appKey: "KEY", settings: {edition: STANDARD, statusQueryEnabled: true}}) { app { key } } }`, "INVALID_ARGUMENT", "input.settings.statusQueryEnabled", "edition"},
		{`mutation { updateAppSettings(input: {appKey: "rcnone", settings: {friendLimit: 1}}) { app { key } } }`, "NOT_FOUND", "input.appKey", ""},
		{`mutation { rotateAppSecret(input: {appKey: "KEY", overlapSeconds: 2592001}) { secret } }`, "INVALID_ARGUMENT", "input.overlapSeconds", "max"},
		{`mutation { rotateAppSecret(input: {appKey: "KEY", overlapSeconds: -1}) { secret } }`, "INVALID_ARGUMENT", "input.overlapSeconds", "min"},
		{`mutation { inviteOperator(input: {name: "vera", role: VIEWER, allApps: true}) { link } }`, "INVALID_ARGUMENT", "input.name", "unique"},
		{`mutation { inviteOperator(input: {name: "ivan", role: VIEWER}) { link } }`, "INVALID_ARGUMENT", "input.appKeys", "required"},
		{`mutation { inviteOperator(input: {name: "ivan", role: VIEWER, appKeys: ["rcnone"]}) { link } }`, "INVALID_ARGUMENT", "input.appKeys", "exists"},
		{`mutation { setOperatorRole(input: {name: "carol", role: VIEWER, allApps: true}) { changed } }`, "INVALID_ARGUMENT", "input.name", "self"},
		{`mutation { setOperatorRole(input: {name: "none", role: VIEWER, allApps: true}) { changed } }`, "NOT_FOUND", "input.name", ""},
		{`mutation { deleteOperator(input: {name: "carol"}) { name } }`, "INVALID_ARGUMENT", "input.name", "self"},
		{`mutation { deleteOperator(input: {name: "none"}) { name } }`, "NOT_FOUND", "input.name", ""},
		{`mutation { endOperatorSessions(input: {name: "none"}) { ended } }`, "NOT_FOUND", "input.name", ""},
		{`mutation { revokeApiKey(input: {id: "99"}) { apiKey { id } } }`, "NOT_FOUND", "input.id", ""},
		{`{ app(key: "rcnone") { key } }`, "NOT_FOUND", "key", ""},
		{`{ operator(name: "none") { name } }`, "NOT_FOUND", "name", ""},
		{`{ audit(filter: {action: "app.explode"}) { nodes { at } } }`, "INVALID_ARGUMENT", "filter.action", "oneof"},
		{`{ audit(filter: {text: ""}) { nodes { at } } }`, "INVALID_ARGUMENT", "filter.text", "min"},
		{`{ audit(filter: {text: "` + strings.Repeat("x", 129) + `"}) { nodes { at } } }`, "INVALID_ARGUMENT", "filter.text", "max"},
		{`{ audit(filter: {appKey: "rcnone"}) { nodes { at } } }`, "NOT_FOUND", "filter.appKey", ""},
		{`{ audit(filter: {from: "yesterday"}) { nodes { at } } }`, "INVALID_ARGUMENT", "filter.from", "datetime"},
		{`{ audit(first: -5) { nodes { at } } }`, "INVALID_ARGUMENT", "first", "min"},
	} {
		document := strings.ReplaceAll(test.document, "KEY", w.demo.Key)
		r := w.do(key, document, "")
		t.Log(document)
		r.wantRefused(t, test.code, test.field, test.rule)
	}
	// What was refused has changed nothing.
	for _, e := range w.entries(5) {
		if e.ActorKey != "" {
			t.Errorf("%+v", e)
		}
	}
}

// TestKeys_FollowTheirOperator checks that a key never does more than its operator may at the time.
func TestKeys_FollowTheirOperator(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db)
		dora := w.operator("dora", models.Grant{Role: models.RoleOwner, AllApps: true})
		key := w.key(dora, "deploy")
		limited := w.keyWith(dora, "report", models.Grant{Role: models.RoleViewer, AppIDs: models.IDs{w.live.ID}})
		viewer := `{ viewer { role allApps apps { name } } }`
		w.do(key, viewer, "").wantData(t, `{"viewer": {"role": "OWNER", "allApps": true, "apps": []}}`)
		w.do(limited, viewer, "").wantData(t, `{"viewer": {"role": "VIEWER", "allApps": false, "apps": [{"name": "live"}]}}`)

		_, err := w.node.Operators.SetRole(t.Context(), "dora", models.Grant{Role: models.RoleModerator, AppIDs: models.IDs{w.demo.ID}}, setup)
		w.check(err)
		w.do(key, viewer, "").wantData(t, `{"viewer": {"role": "MODERATOR", "allApps": false, "apps": [{"name": "demo"}]}}`)
		w.do(key, `{ operators { name } }`, "").wantRefused(t, "FORBIDDEN", "", "")
		w.do(key, `{ app(key: "`+w.live.Key+`") { name } }`, "").wantRefused(t, "NOT_FOUND", "key", "")
		// A key for live of an operator that is only for demo is for no app.
		w.do(limited, `{ viewer { role apps { name } } apps { totalCount nodes { key } } audit { totalCount } }`, "").
			wantData(t, `{"viewer": {"role": "VIEWER", "apps": []}, "apps": {"totalCount": 0, "nodes": []}, "audit": {"totalCount": 0}}`)

		// A higher role again does not raise the key above what it was made with.
		_, err = w.node.Operators.SetRole(t.Context(), "dora", models.Grant{Role: models.RoleOwner, AllApps: true}, setup)
		w.check(err)
		w.do(limited, viewer, "").wantData(t, `{"viewer": {"role": "VIEWER", "allApps": false, "apps": [{"name": "live"}]}}`)

		// An operator that may not use the console may not use its keys.
		_, err = w.node.Operators.SetPassword(t.Context(), "dora", "", setup)
		w.check(err)
		if r := w.do(key, viewer, ""); r.status != http.StatusForbidden || r.code() != "FORBIDDEN" {
			t.Errorf("an operator with a temporary password: %d %s", r.status, r.text)
		}
		_, err = w.node.Operators.SetPassword(t.Context(), "dora", "another harbour", setup)
		w.check(err)
		w.do(key, `{ viewer { role } }`, "").wantData(t, `{"viewer": {"role": "OWNER"}}`)

		w.check(w.node.Operators.Delete(t.Context(), "dora", setup))
		for _, text := range []string{key, limited} {
			if r := w.do(text, viewer, ""); r.status != http.StatusUnauthorized || r.code() != "UNAUTHENTICATED" {
				t.Errorf("a deleted operator: %d %s", r.status, r.text)
			}
		}
	})
}

func TestKeys_NeedTheSecondFactorOfTheirOperator(t *testing.T) {
	w := onSQLite(t, func(cfg *node.Config) { cfg.SecondFactor = operators.RequireAdmins })
	vera := w.operator("vera", models.Grant{Role: models.RoleViewer, AllApps: true})
	if r := w.do(w.key(w.carol, "deploy"), `{ viewer { role } }`, ""); r.status != http.StatusForbidden || r.code() != "FORBIDDEN" {
		t.Errorf("an owner without the required second factor: %d %s", r.status, r.text)
	}
	w.do(w.key(vera, "report"), `{ viewer { role } }`, "").wantData(t, `{"viewer": {"role": "VIEWER"}}`)
}

func TestKeys_Expire(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	w.pass(24*time.Hour - time.Second)
	w.do(key, `{ viewer { role } }`, "").wantData(t, `{"viewer": {"role": "OWNER"}}`)
	w.pass(time.Second)
	if r := w.do(key, `{ viewer { role } }`, ""); r.status != http.StatusUnauthorized {
		t.Errorf("an expired key: %d %s", r.status, r.text)
	}
}

// TestKeys_OfNamedAppsSeeNothingOfOthers checks every field that returns apps.
func TestKeys_OfNamedAppsSeeNothingOfOthers(t *testing.T) {
	w := onSQLite(t)
	w.operator("mia", models.Grant{Role: models.RoleAdmin, AppIDs: models.IDs{w.demo.ID, w.live.ID}})
	own := models.Grant{Role: models.RoleAdmin, AppIDs: models.IDs{w.demo.ID}}
	key := w.keyWith(w.carol, "demo only", own)
	r := w.do(key, `{ viewer { apps { key } operator { apps { key } } apiKey { apps { key } } } apps { totalCount nodes { name } } audit { nodes { target app { key } } } }`, "")
	if len(r.Errors) > 0 || strings.Contains(r.text, w.live.Key) || strings.Contains(r.text, "live") || strings.Contains(r.text, "carol") {
		t.Error(r.text)
	}
	for _, document := range []string{
		`{ app(key: "KEY") { name } }`,
		`{ audit(filter: {appKey: "KEY"}) { nodes { at } } }`,
		`mutation { updateAppSettings(input: {appKey: "KEY", settings: {friendLimit: 1}}) { app { key } } }`,
		`mutation { rotateAppSecret(input: {appKey: "KEY"}) { secret } }`,
		`mutation { disableApp(input: {appKey: "KEY"}) { changed } }`,
		`mutation { deleteApp(input: {appKey: "KEY", name: "live"}) { app { key } } }`,
	} {
		foreign := w.do(key, strings.ReplaceAll(document, "KEY", w.live.Key), "")
		unknown := w.do(key, strings.ReplaceAll(document, "KEY", "rcnone"), "")
		if foreign.code() != "NOT_FOUND" || foreign.Errors[0].Message != unknown.Errors[0].Message {
			t.Errorf("%s: %s, and of no app %s", document, foreign.text, unknown.text)
		}
	}
	app, err := w.node.Apps.ByKey(t.Context(), w.live.Key)
	w.check(err)
	if app.SecretGeneration != w.live.SecretGeneration || app.Settings != w.live.Settings || app.Disabled() {
		t.Error("a key has changed another app")
	}
	// Keys of the same operator are as unknown as those of others, except for owners.
	w.key(w.carol, "other")
	w.do(key, `mutation { revokeApiKey(input: {id: "2"}) { apiKey { id } } }`, "").wantRefused(t, "NOT_FOUND", "input.id", "")
	w.do(key, `mutation { revokeApiKey(input: {id: "1"}) { apiKey { name } } }`, "").wantData(t, `{"revokeApiKey": {"apiKey": {"name": "demo only"}}}`)
}

// TestKeys_RecordTheirLastUse checks that a use is written at most once a minute.
func TestKeys_RecordTheirLastUse(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	last := func() models.Time {
		t.Helper()
		list, err := w.node.Operators.Keys(t.Context(), w.carol.ID)
		w.check(err)
		return list[0].LastUsedAt
	}
	if last() != 0 {
		t.Error("a new key was used")
	}
	begin := models.TimeOf(w.clock())
	for _, step := range []struct{ pass, want time.Duration }{{0, 0}, {30 * time.Second, 0}, {30 * time.Second, time.Minute}} {
		w.pass(step.pass)
		w.do(key, `{ viewer { role } }`, "")
		if got := last(); got != begin.Add(step.want) {
			t.Errorf("last used at %s, want %s", got, begin.Add(step.want))
		}
	}
}

func TestHTTP_RefusesOtherRequests(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	body := `{"query": "{ viewer { role } }"}`
	login, err := w.node.Operators.Login(t.Context(), operators.LoginRequest{Name: "carol", Password: "tidy harbour", Address: "192.0.2.1"})
	w.check(err)
	for name, test := range map[string]struct {
		in     request
		status int
		code   string
	}{
		"a GET":                 {request{method: http.MethodGet, key: key}, http.StatusMethodNotAllowed, "BAD_REQUEST"},
		"a preflight":           {request{method: http.MethodOptions}, http.StatusMethodNotAllowed, "BAD_REQUEST"},
		"a form":                {request{key: key, contentType: "application/x-www-form-urlencoded", body: "query=x"}, http.StatusUnsupportedMediaType, "BAD_REQUEST"},
		"plain text":            {request{key: key, contentType: "text/plain", body: body}, http.StatusUnsupportedMediaType, "BAD_REQUEST"},
		"no key":                {request{body: body}, http.StatusUnauthorized, "UNAUTHENTICATED"},
		"a wrong key":           {request{key: key[:len(key)-1] + "1", body: body}, http.StatusUnauthorized, "UNAUTHENTICATED"},
		"another scheme":        {request{body: body, header: map[string]string{"Authorization": "Basic " + key}}, http.StatusUnauthorized, "UNAUTHENTICATED"},
		"a session":             {request{body: body, header: map[string]string{"Cookie": "rollcall_session=" + login.Token}}, http.StatusUnauthorized, "UNAUTHENTICATED"},
		"a session as a key":    {request{key: login.Token, body: body}, http.StatusUnauthorized, "UNAUTHENTICATED"},
		"no JSON":               {request{key: key, body: "{"}, http.StatusBadRequest, "BAD_REQUEST"},
		"no query":              {request{key: key, body: "{}"}, http.StatusBadRequest, "BAD_REQUEST"},
		"a large body":          {request{key: key, body: `{"query": "` + strings.Repeat(" ", 64<<10) + `"}`}, http.StatusRequestEntityTooLarge, "BAD_REQUEST"},
		"a malformed document":  {request{key: key, body: `{"query": "{"}`}, http.StatusOK, "GRAPHQL_PARSE_FAILED"},
		"an unknown field":      {request{key: key, body: `{"query": "{ secrets }"}`}, http.StatusOK, "GRAPHQL_VALIDATION_FAILED"},
		"a key in the variable": {request{body: `{"query": "{ viewer { role } }", "variables": {"key": "` + key + `"}}`}, http.StatusUnauthorized, "UNAUTHENTICATED"},
	} {
		r := w.send(test.in)
		if r.status != test.status || r.code() != test.code {
			t.Errorf("%s: %d %s, want %d %s", name, r.status, r.text, test.status, test.code)
		}
		if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: the headers are %v", name, r.header)
		}
	}
	if log := w.log.String(); strings.Contains(log, key) || strings.Contains(log, key[4:20]) {
		t.Error("the log has the key")
	}
	r := w.send(request{key: key, body: body, header: map[string]string{"Accept": "application/graphql-response+json"}})
	if kind := r.header.Get("Content-Type"); r.status != http.StatusOK || kind != "application/graphql-response+json; charset=utf-8" {
		t.Errorf("%d with the type %q", r.status, kind)
	}
}

// TestHTTP_LimitsWrongKeys checks that wrong keys of a network are slowed down, and that the right one
// is not.
func TestHTTP_LimitsWrongKeys(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	for range 30 {
		if r := w.do("rck_wrong", `{ viewer { role } }`, ""); r.status != http.StatusUnauthorized {
			t.Fatalf("%d %s", r.status, r.text)
		}
	}
	r := w.do("rck_wrong", `{ viewer { role } }`, "")
	if r.status != http.StatusTooManyRequests || r.code() != "RATE_LIMITED" || r.header.Get("Retry-After") != "20" {
		t.Errorf("%d %s, Retry-After %q", r.status, r.text, r.header.Get("Retry-After"))
	}
	w.do(key, `{ viewer { role } }`, "").wantData(t, `{"viewer": {"role": "OWNER"}}`)
}

func TestHTTP_LimitsTheRateOfAKey(t *testing.T) {
	w := onSQLite(t, func(cfg *node.Config) { cfg.Rates = ratelimit.NewLocal(cfg.Clock) })
	key, other := w.key(w.carol, "deploy"), w.key(w.carol, "other")
	for range 300 {
		if r := w.do(key, `{ __typename }`, ""); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.text)
		}
	}
	if r := w.do(key, `{ __typename }`, ""); r.status != http.StatusTooManyRequests || r.code() != "RATE_LIMITED" || r.header.Get("Retry-After") != "60" {
		t.Errorf("%d %s", r.status, r.text)
	}
	w.do(other, `{ __typename }`, "").wantData(t, `{"__typename": "Query"}`)
}

func TestDocuments_AreLimited(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.carol, "deploy")
	doubling := `{ ...a0 }`
	for i := range 30 {
		doubling += fmt.Sprintf(" fragment a%d on Query { ...a%d ...a%d }", i, i+1, i+1)
	}
	doubling += ` fragment a30 on Query { viewer { role } }`
	// The schema has no cycle of objects, so depth needs introspection.
	deep := `{ __type(name: "App") { fields { type ` + strings.Repeat(`{ ofType `, 30) + `{ name } ` + strings.Repeat(`} `, 30) + `} } }`
	for name, document := range map[string]string{
		"tokens":     `{ ` + strings.Repeat(`viewer { role } `, 500) + `}`,
		"fragments":  doubling,
		"depth":      deep,
		"complexity": `{ apps(first: 100) { nodes { webhookEndpoints { url } a: registeredUserCount b: registeredUserCount c: registeredUserCount d: registeredUserCount } } }`,
	} {
		if r := w.do(key, document, ""); r.status != http.StatusOK || r.code() != "QUERY_TOO_COMPLEX" {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	if r := w.do(key, `{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }`, ""); r.code() != "GRAPHQL_VALIDATION_FAILED" {
		t.Errorf("a cycle: %d %s", r.status, r.text)
	}
	// The largest useful document fits.
	r := w.do(key, `{ apps(first: 100) { nodes { key name environment edition registeredUserCount registeredUserLimit createdAt webhookEndpoints { url enabled } } pageInfo { endCursor } } }`, "")
	if r.status != http.StatusOK || len(r.Errors) > 0 {
		t.Errorf("%d %s", r.status, r.text)
	}
}

func TestHTTP_IsOnlyAtTheAddressOfTheConsole(t *testing.T) {
	w := onSQLite(t, func(cfg *node.Config) { cfg.ConsoleApart = true })
	w.do(w.key(w.carol, "deploy"), `{ __typename }`, "").wantData(t, `{"__typename": "Query"}`)
	answer := httptest.NewRecorder()
	w.node.Public.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, management.Path, nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("the public address responds with %d", answer.Code)
	}
}
