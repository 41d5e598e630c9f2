package graph_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// settle creates an app of that kind and runs the scenarios as its App Server.
func settle(w *graphtest.World, environment models.Environment, edition models.Edition) {
	w.T.Helper()
	app, secret, err := w.Apps.Create(context.Background(), apps.NewApp{
		Name: fmt.Sprint(environment, " ", edition), Environment: environment, Edition: edition,
	}, models.Actor{})
	if err != nil {
		w.T.Fatal(err)
	}
	w.App = graphtest.Tenant{App: app, Secret: secret}
}

const limits = `{ app { registeredUserCount registeredUserLimit } }`

func TestEdition_UserLimits(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, edition := range []models.Edition{models.EditionStandard, models.EditionFlagship, models.EditionPremium} {
			settle(w, models.EnvironmentDevelopment, edition)
			name := "DEVELOPMENT " + string(edition)
			w.Run(
				graphtest.Scenario{Name: name + " holds 100", As: graphtest.AppServer, Query: registerMany, Variables: inputs(many(100)...)},
				graphtest.Scenario{Name: name + " says so", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":100,"registeredUserLimit":100}}`},
				graphtest.Scenario{Name: name + " refuses further users", As: graphtest.AppServer, Query: register, Variables: input("id", "x", "name", "X"),
					WantCode: "USER_LIMIT_REACHED", WantExtensions: map[string]any{"limit": 100}},
			)
		}
		settle(w, models.EnvironmentProduction, models.EditionStandard)
		w.Run(graphtest.Scenario{Name: "PRODUCTION STANDARD has a limit", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":0,"registeredUserLimit":10000}}`})
		w.Set(map[string]string{"registeredUserLimit": "2"})
		w.Run(
			graphtest.Scenario{Name: "its own", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":0,"registeredUserLimit":2}}`},
			graphtest.Scenario{Name: "two fit", As: graphtest.AppServer, Query: registerMany, Variables: inputs("a", "b")},
			graphtest.Scenario{Name: "a third does not", As: graphtest.AppServer, Query: register, Variables: input("id", "c", "name", "C"),
				WantCode: "USER_LIMIT_REACHED", WantExtensions: map[string]any{"limit": 2}},
		)
		w.Set(map[string]string{"registeredUserLimit": "1"})
		w.Run(
			graphtest.Scenario{Name: "a lower limit removes no user", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":2,"registeredUserLimit":1}}`},
			graphtest.Scenario{Name: "and refuses new users", As: graphtest.AppServer, Query: registerMany, Variables: inputs("c", "a"), WantData: `{"registerUsers":{"results":[
				{"userId":"c","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"USER_LIMIT_REACHED"}},
				{"userId":"a","created":false,"user":{"id":"a","name":"Name of a","avatarUrl":null},"token":"*","expiresAt":null,"error":null}]}}`},
		)
		w.Set(map[string]string{"edition": "flagship"})
		w.Run(
			graphtest.Scenario{Name: "a higher edition has no limit", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":2,"registeredUserLimit":null}}`},
			graphtest.Scenario{Name: "it accepts 100 at once", As: graphtest.AppServer, Query: registerMany, Variables: inputs(many(100)...)},
			graphtest.Scenario{Name: "and more", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":102,"registeredUserLimit":null}}`},
		)
		w.Set(map[string]string{"edition": "standard"})
		w.Run(graphtest.Scenario{Name: "back in STANDARD the old limit applies", As: graphtest.AppServer, Query: register, Variables: input("id", "d", "name", "D"),
			WantCode: "USER_LIMIT_REACHED", WantExtensions: map[string]any{"limit": 1}})
		settle(w, models.EnvironmentProduction, models.EditionPremium)
		w.Run(graphtest.Scenario{Name: "PRODUCTION PREMIUM has no limit", As: graphtest.AppServer, Query: limits, WantData: `{"app":{"registeredUserCount":0,"registeredUserLimit":null}}`})
	})
}

func TestEdition_Switches(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const switches = `{ app { settings { statusQueryEnabled friendStatusNotifyEnabled onlyFriendsCanMessage profileEditEnabled } } }`
		off := `{"app":{"settings":{"statusQueryEnabled":false,"friendStatusNotifyEnabled":false,"onlyFriendsCanMessage":false,"profileEditEnabled":false}}}`
		for _, edition := range []models.Edition{models.EditionStandard, models.EditionFlagship, models.EditionPremium} {
			settle(w, models.EnvironmentProduction, edition)
			name := string(edition)
			w.Run(graphtest.Scenario{Name: name + ": off in a new app", As: graphtest.AppServer, Query: switches, WantData: off})
			for _, setting := range []string{"statusQueryEnabled", "friendStatusNotifyEnabled", "onlyFriendsCanMessage", "profileEditEnabled"} {
				_, err := w.Apps.Set(context.Background(), w.App.Key, map[string]string{setting: "true"}, audit.AppServer)
				lacking := edition == models.EditionStandard && setting != "onlyFriendsCanMessage" && setting != "profileEditEnabled"
				if lacking != (fault.CodeOf(err) == fault.InvalidArgument) || !lacking && err != nil {
					t.Errorf("%s: turning %s on: %v", name, setting, err)
				}
			}
			want := `{"app":{"settings":{"statusQueryEnabled":true,"friendStatusNotifyEnabled":true,"onlyFriendsCanMessage":true,"profileEditEnabled":true}}}`
			if edition == models.EditionStandard {
				want = `{"app":{"settings":{"statusQueryEnabled":false,"friendStatusNotifyEnabled":false,"onlyFriendsCanMessage":true,"profileEditEnabled":true}}}`
			}
			w.Run(graphtest.Scenario{Name: name + ": what could be turned on", As: graphtest.AppServer, Query: switches, WantData: want})
			_, err := w.Apps.Set(context.Background(), w.App.Key, map[string]string{"edition": "standard"}, audit.AppServer)
			if lacking := edition != models.EditionStandard; lacking != (fault.CodeOf(err) == fault.InvalidArgument) {
				t.Errorf("%s: to STANDARD with the switches on: %v", name, err)
			}
		}
	})
}

func TestRotation(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		app, ann := w.Bearer(graphtest.AppServer), w.Bearer("ann")
		foreign := w.Bearer(graphtest.OtherServer)
		device, server := w.Socket(ann), w.Socket(app)
		defer device.Close()
		defer server.Close()
		rotated, secret, err := w.Apps.RotateSecret(context.Background(), w.App.Key, 0, audit.AppServer)
		if err != nil {
			t.Fatal(err)
		}
		for name, bearer := range map[string]string{"app": app, "user": ann} {
			if r := w.Do(bearer, `{ __typename }`, nil); r.Status != 401 || r.Code() != "UNAUTHENTICATED" {
				t.Errorf("the %s token outlived the rotation: %s", name, r.Body)
			}
			if _, code := w.Connect(bearer); code != 4401 {
				t.Errorf("the %s token connects: closed with %d", name, code)
			}
		}
		if code := server.CloseCode(); code != 4401 {
			t.Errorf("the App Server's connection was closed with %d", code)
		}
		if r := device.Do(`{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("an operation on the user's connection: %s", r.Body)
		}
		if r := w.Do(foreign, `{ app { name } }`, nil); r.Code() != "" {
			t.Errorf("another app's token: %s", r.Body)
		}
		const issue = `mutation($input: IssueAppTokenInput!) { issueAppToken(input: $input) { token } }`
		w.Run(
			graphtest.Scenario{Name: "the old secret", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret), WantCode: "UNAUTHENTICATED"},
			graphtest.Scenario{Name: "the new one", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", secret), WantData: `{"issueAppToken":{"token":"*"}}`},
		)
		w.App = graphtest.Tenant{App: rotated, Secret: secret}
		w.Run(graphtest.Scenario{Name: "tokens issued from then on", As: "ann", Query: `{ me { id } }`, WantData: `{"me":{"id":"ann"}}`})
	})
}

// TestDeleteUser_OnlyInDevelopment: the rule behind the console's delete.
func TestDeleteUser_OnlyInDevelopment(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ctx, by := context.Background(), models.Actor{Name: "operator"}
		ann, bob := w.Bearer("ann"), w.Bearer("bob")
		w.Register(w.Other, "eve")
		socket := w.Socket(ann)
		got, err := w.Users.Delete(ctx, w.App.App, []string{"bob", "eve", "ann", "bob", "a b"}, by)
		if err != nil {
			t.Fatal(err)
		}
		var outcomes []models.Outcome
		for _, r := range got {
			outcomes = append(outcomes, r.Outcome)
		}
		if want := []models.Outcome{models.OutcomeDone, models.OutcomeNotFound, models.OutcomeDone, models.OutcomeNotFound, models.OutcomeNotFound}; !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %v, want %v", outcomes, want)
		}
		if code := socket.CloseCode(); code != 4401 {
			t.Errorf("the device was closed with %d", code)
		}
		for _, bearer := range []string{ann, bob} {
			if r := w.Do(bearer, `{ me { id } }`, nil); r.Status != 401 {
				t.Errorf("a deleted user's token: %s", r.Body)
			}
		}
		w.Run(
			graphtest.Scenario{Name: "deleted, the places free", As: graphtest.AppServer, Query: `{ users(ids: ["ann", "bob"]) { id } userList { totalCount } app { registeredUserCount } }`,
				WantData: `{"users":[null,null],"userList":{"totalCount":0},"app":{"registeredUserCount":0}}`},
			graphtest.Scenario{Name: "not in another app", As: graphtest.OtherServer, Query: `{ user(id: "eve") { id } }`, WantData: `{"user":{"id":"eve"}}`},
			graphtest.Scenario{Name: "the ID is free", As: graphtest.AppServer, Query: register, Variables: input("id", "ann", "name", "Another"),
				WantData: `{"registerUser":{"created":true,"token":"*","expiresAt":null,"user":{"id":"ann","name":"Another","avatarUrl":null,"state":"ACTIVE"}}}`},
			graphtest.Scenario{Name: "its new owner never logged in", As: graphtest.AppServer, Query: `{ user(id: "ann") { status { presence changedAt } } }`,
				WantData: `{"user":{"status":{"presence":"UNLOGINED","changedAt":null}}}`},
		)
		if r := w.Do(ann, `{ me { id } }`, nil); r.Status != 401 {
			t.Errorf("the deleted user's token works for its successor: %s", r.Body)
		}
		settle(w, models.EnvironmentProduction, models.EditionFlagship)
		w.Register(w.App, "ann")
		if _, err := w.Users.Delete(ctx, w.App.App, []string{"ann"}, by); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("deleting in PRODUCTION: %v", err)
		}
		w.Run(graphtest.Scenario{Name: "still there", As: graphtest.AppServer, Query: `{ user(id: "ann") { name } }`, WantData: `{"user":{"name":"ann"}}`})
	})
}
