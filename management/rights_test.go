package management_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall/management/generated"
	"rollcall/models"
)

// rootFields are all fields of Query and Mutation, with the grants whose keys may use them. Their
// arguments name nothing that exists, so that what is allowed changes nothing.
var rootFields = map[string]struct {
	document string
	grants   []string
}{
	"viewer":      {`{ viewer { role } }`, everyGrant},
	"apps":        {`{ apps { nodes { key } } }`, everyGrant},
	"app":         {`{ app(key: "rcnone") { key } }`, everyGrant},
	"audit":       {`{ audit { nodes { at } } }`, everyGrant},
	"operators":   {`{ operators { name } }`, ofAllApps},
	"operator":    {`{ operator(name: "none") { name } }`, ofAllApps},
	"invitations": {`{ invitations { id } }`, []string{"owner"}},
	"apiKeys":     {`{ apiKeys { id } }`, []string{"owner"}},

	"revokeApiKey":        {`mutation { revokeApiKey(input: {id: "none"}) { apiKey { id } } }`, everyGrant},
	"updateAppSettings":   {`mutation { updateAppSettings(input: {appKey: "rcnone", settings: {}}) { app { key } } }`, []string{"admin of demo", "admin", "owner"}},
	"rotateAppSecret":     {`mutation { rotateAppSecret(input: {appKey: "rcnone"}) { secret } }`, []string{"admin of demo", "admin", "owner"}},
	"disableApp":          {`mutation { disableApp(input: {appKey: "rcnone"}) { changed } }`, []string{"admin of demo", "admin", "owner"}},
	"enableApp":           {`mutation { enableApp(input: {appKey: "rcnone"}) { changed } }`, []string{"admin of demo", "admin", "owner"}},
	"deleteApp":           {`mutation { deleteApp(input: {appKey: "rcnone", name: ""}) { app { key } } }`, []string{"admin of demo", "admin", "owner"}},
	"createApp":           {`mutation { createApp(input: {name: "", environment: DEVELOPMENT}) { secret } }`, []string{"admin", "owner"}},
	"inviteOperator":      {`mutation { inviteOperator(input: {name: "", role: VIEWER}) { link } }`, []string{"owner"}},
	"revokeInvitation":    {`mutation { revokeInvitation(input: {id: "none"}) { revoked } }`, []string{"owner"}},
	"setOperatorRole":     {`mutation { setOperatorRole(input: {name: "none", role: VIEWER}) { changed } }`, []string{"owner"}},
	"deleteOperator":      {`mutation { deleteOperator(input: {name: "none"}) { name } }`, []string{"owner"}},
	"endOperatorSessions": {`mutation { endOperatorSessions(input: {name: "none"}) { ended } }`, []string{"owner"}},
}

var (
	everyGrant = []string{"viewer of demo", "moderator of demo", "admin of demo", "viewer", "moderator", "admin", "owner"}
	ofAllApps  = []string{"viewer", "moderator", "admin", "owner"}
)

// TestRights_OfEveryGrantAndField requests every root field with keys of every grant: of an operator
// that has the grant, and of an owner whose key has it.
func TestRights_OfEveryGrantAndField(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	var known []string
	for _, field := range slices.Concat(schema.Query.Fields, schema.Mutation.Fields) {
		if !strings.HasPrefix(field.Name, "__") {
			known = append(known, field.Name)
		}
	}
	slices.Sort(known)
	if tested := slices.Sorted(maps.Keys(rootFields)); !slices.Equal(tested, known) {
		t.Fatalf("the test has the fields %q, and the schema %q", tested, known)
	}

	w := onSQLite(t)
	for _, name := range everyGrant {
		role, ofDemo := strings.CutSuffix(name, " of demo")
		grant := models.Grant{Role: models.Role(role), AllApps: !ofDemo}
		if ofDemo {
			grant.AppIDs = models.IDs{w.demo.ID}
		}
		for kind, key := range map[string]string{
			"an operator that is":    w.key(w.operator(name, grant), "own"),
			"an owner with a key of": w.keyWith(w.carol, name, grant),
		} {
			for field, test := range rootFields {
				r := w.do(key, test.document, "")
				if allowed := slices.Contains(test.grants, name); (r.code() == "FORBIDDEN") == allowed {
					t.Errorf("%s %s: %s: %s", kind, name, field, r.text)
				}
			}
		}
	}
	for _, e := range w.entries(5) {
		if e.ActorKey != "" {
			t.Errorf("%s was done", e.Action)
		}
	}
}

// TestRights_AreCheckedForEachField checks that a refused field does not affect its neighbours.
func TestRights_AreCheckedForEachField(t *testing.T) {
	w := onSQLite(t)
	key := w.key(w.operator("vera", models.Grant{Role: models.RoleViewer, AllApps: true}), "report")
	r := w.do(key, `{ app(key: "`+w.demo.Key+`") { name } operator(name: "vera") { role } none: app(key: "rcnone") { name } }`, "")
	if r.Data["none"] != nil || r.Data["app"] == nil || r.Data["operator"] == nil || r.code() != "NOT_FOUND" {
		t.Error(r.text)
	}
	r = w.do(key, `mutation { createApp(input: {name: "shop", environment: PRODUCTION}) { secret } rotateAppSecret(input: {appKey: "`+w.demo.Key+`"}) { secret } }`, "")
	if len(r.Errors) != 2 || strings.Contains(r.text, `"secret":"`) {
		t.Error(r.text)
	}
	// Every key may read the schema.
	if r := w.do(key, `{ __schema { queryType { fields { name description } } } __type(name: "Mutation") { fields { name } } }`, ""); len(r.Errors) > 0 || !strings.Contains(r.text, "Needs the role OWNER for all apps.") {
		t.Error(r.text)
	}
}
