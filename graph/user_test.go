package graph_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

const (
	register = `mutation($input: RegisterUserInput!) { registerUser(input: $input) { created token expiresAt user { id name avatarUrl state } } }`
	update   = `mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id name avatarUrl } } }`
)

// input returns the variables of an operation with one input.
func input(pairs ...any) map[string]any {
	in := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i].(string)] = pairs[i+1]
	}
	return map[string]any{"input": in}
}

func breaks(field, rule string) map[string]any { return map[string]any{"field": field, "rule": rule} }

func TestRegisterUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Run(
			graphtest.Scenario{
				Name: "a new user", As: graphtest.AppServer, Query: register,
				Variables: input("id", "ann", "name", "Ann", "avatarUrl", "https://example.org/a.png"),
				WantData:  `{"registerUser":{"created":true,"token":"*","expiresAt":null,"user":{"id":"ann","name":"Ann","avatarUrl":"https://example.org/a.png","state":"ACTIVE"}}}`,
			},
			graphtest.Scenario{
				Name: "again, the avatar omitted", As: graphtest.AppServer, Query: register,
				Variables: input("id", "ann", "name", " Ann-Marie\u00a0"),
				WantData:  `{"registerUser":{"created":false,"token":"*","expiresAt":null,"user":{"id":"ann","name":" Ann-Marie\u00a0","avatarUrl":"https://example.org/a.png","state":"ACTIVE"}}}`,
			},
			graphtest.Scenario{
				Name: "again with zero values, which are not given", As: graphtest.AppServer, Query: register,
				Variables: input("id", "ann", "name", "Ann", "avatarUrl", "", "tokenTtlSeconds", 0),
				WantData:  `{"registerUser":{"created":false,"token":"*","expiresAt":null,"user":{"id":"ann","name":"Ann","avatarUrl":"https://example.org/a.png","state":"ACTIVE"}}}`,
			},
			graphtest.Scenario{
				Name: "a token that expires", As: graphtest.AppServer, Query: register,
				Variables: input("id", "ann", "name", "Ann", "tokenTtlSeconds", 60),
				WantData:  `{"registerUser":{"created":false,"token":"*","expiresAt":"2026-11-20T08:16:30.123Z","user":{"id":"ann","name":"Ann","avatarUrl":"https://example.org/a.png","state":"ACTIVE"}}}`,
			},
			graphtest.Scenario{
				Name: "every character of the alphabet and 64 bytes", As: graphtest.AppServer, Query: register,
				Variables: input("id", "AZaz09_-.@=+"+strings.Repeat("x", 52), "name", strings.Repeat("林", 64)),
				WantData:  `{"registerUser":{"created":true,"token":"*","expiresAt":null,"user":{"id":"AZaz09_-.@=+` + strings.Repeat("x", 52) + `","name":"` + strings.Repeat("林", 64) + `","avatarUrl":null,"state":"ACTIVE"}}}`,
			},
			graphtest.Scenario{
				Name: "IDs that differ in case", As: graphtest.AppServer, Query: register,
				Variables: input("id", "Ann", "name", "Other"),
				WantData:  `{"registerUser":{"created":true,"token":"*","expiresAt":null,"user":{"id":"Ann","name":"Other","avatarUrl":null,"state":"ACTIVE"}}}`,
			},
		)
	})
}

func TestRegisterUser_BadInputs(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, c := range []struct {
			name        string
			field, rule string
			pairs       []any
		}{
			{"empty ID", "input.id", "required", []any{"id", "", "name", "X"}},
			{"ID of 65 bytes", "input.id", "max", []any{"id", strings.Repeat("x", 65), "name", "X"}},
			{"ID with trailing space", "input.id", "userid", []any{"id", "ann ", "name", "X"}},
			{"ID with trailing newline", "input.id", "userid", []any{"id", "ann\n", "name", "X"}},
			{"ID outside the alphabet", "input.id", "userid", []any{"id", "ann/bob", "name", "X"}},
			{"Chinese ID", "input.id", "userid", []any{"id", "丽", "name", "X"}},
			{"empty name", "input.name", "required", []any{"id", "x", "name", ""}},
			{"name of 65 characters", "input.name", "max", []any{"id", "x", "name", strings.Repeat("林", 65)}},
			{"blank name", "input.name", "notblank", []any{"id", "x", "name", " \u3000 "}},
			{"invisible name", "input.name", "notblank", []any{"id", "x", "name", "\u200b\u3164\u0301"}},
			{"name of an object replacement", "input.name", "notblank", []any{"id", "x", "name", "\ufffc"}},
			{"name with an override", "input.name", "nobidi", []any{"id", "x", "name", "ann\u202egnp.exe"}},
			{"name with a control character", "input.name", "nocontrol", []any{"id", "x", "name", "a\u0007b"}},
			{"avatar that is not a URL", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "not a url"}},
			{"avatar of another scheme", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "javascript:alert(1)"}},
			{"avatar with user info", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "https://ann:b@example.org/"}},
			{"avatar with a bad port", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "https://example.org:65536/"}},
			{"avatar with a quote", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "https://example.org/\"x"}},
			{"avatar with an override", "input.avatarUrl", "http_url", []any{"id", "x", "name", "X", "avatarUrl", "https://example.org/\u202egnp.exe"}},
			{"long avatar", "input.avatarUrl", "maxbytes", []any{"id", "x", "name", "X", "avatarUrl", "https://example.org/" + strings.Repeat("x", 1005)}},
			{"negative TTL", "input.tokenTtlSeconds", "min", []any{"id", "x", "name", "X", "tokenTtlSeconds", -1}},
			{"TTL too long", "input.tokenTtlSeconds", "max", []any{"id", "x", "name", "X", "tokenTtlSeconds", 315_360_001}},
		} {
			w.Run(graphtest.Scenario{
				Name: c.name, As: graphtest.AppServer, Query: register, Variables: input(c.pairs...),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks(c.field, c.rule),
			})
		}
		w.Run(
			graphtest.Scenario{
				Name: "nothing was registered", As: graphtest.AppServer, Query: `{ app { registeredUserCount } }`,
				WantData: `{"app":{"registeredUserCount":0}}`,
			},
			graphtest.Scenario{
				Name: "an avatar that is also removed", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "x", "avatarUrl", "http://example.org/", "removeAvatar", true),
				WantCode:  "INVALID_ARGUMENT", WantExtensions: breaks("input.avatarUrl", "without"), WantData: `{"updateUser":null}`,
			},
			graphtest.Scenario{
				Name: "an avatar that is no string", As: graphtest.AppServer,
				Query:    `mutation { updateUser(input: {userId: "x", avatarUrl: 5}) { user { id } } }`,
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.avatarUrl", "type"), WantData: `{"updateUser":null}`,
			},
			graphtest.Scenario{
				Name: "updating to an invisible name", As: graphtest.AppServer, Query: update, Variables: input("userId", "x", "name", "\ufeff"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.name", "notblank"),
			},
			graphtest.Scenario{
				Name: "updating to an override", As: graphtest.AppServer, Query: update, Variables: input("userId", "x", "name", "a\u2066b"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.name", "nobidi"),
			},
			graphtest.Scenario{
				Name: "updating nobody", As: graphtest.AppServer, Query: update, Variables: input("userId", "x", "name", "X"),
				WantCode: "USER_NOT_FOUND",
			},
		)
	})
}

func TestUpdateUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		w.Run(
			graphtest.Scenario{
				Name: "the avatar alone", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "ann", "avatarUrl", "http://example.org/"),
				WantData:  `{"updateUser":{"user":{"id":"ann","name":"ann","avatarUrl":"http://example.org/"}}}`,
			},
			graphtest.Scenario{
				Name: "the name alone", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "ann", "name", "Anna"),
				WantData:  `{"updateUser":{"user":{"id":"ann","name":"Anna","avatarUrl":"http://example.org/"}}}`,
			},
			graphtest.Scenario{
				Name: "zero values, which are not given", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "ann", "name", "", "avatarUrl", "", "removeAvatar", false),
				WantData:  `{"updateUser":{"user":{"id":"ann","name":"Anna","avatarUrl":"http://example.org/"}}}`,
			},
			graphtest.Scenario{
				Name: "nulls, which are not given", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "ann", "name", nil, "avatarUrl", nil, "removeAvatar", nil),
				WantData:  `{"updateUser":{"user":{"id":"ann","name":"Anna","avatarUrl":"http://example.org/"}}}`,
			},
			graphtest.Scenario{
				Name: "the avatar removed", As: graphtest.AppServer, Query: update,
				Variables: input("userId", "ann", "avatarUrl", "", "removeAvatar", true),
				WantData:  `{"updateUser":{"user":{"id":"ann","name":"Anna","avatarUrl":null}}}`,
			},
			graphtest.Scenario{
				Name: "another app's App Server", As: graphtest.OtherServer, Query: update,
				Variables: input("userId", "ann", "name", "Eve"), WantCode: "USER_NOT_FOUND", WantExtensions: map[string]any{"userId": "ann"},
			},
		)
		w.Clock.Pass(time.Minute)
		w.Run(
			graphtest.Scenario{
				Name: "nothing", As: graphtest.AppServer,
				Query:    `mutation { updateUser(input: {userId: "ann"}) { user { name updatedAt } } }`,
				WantData: `{"updateUser":{"user":{"name":"Anna","updatedAt":"2026-11-20T08:15:30.123Z"}}}`,
			},
			graphtest.Scenario{
				Name: "stored values", As: graphtest.AppServer, Query: `{ user(id: "ann") { name avatarUrl } }`,
				WantData: `{"user":{"name":"Anna","avatarUrl":null}}`,
			},
		)
	})
}

// TestUpdateMe: a user changes itself, and only if the app's switch is on.
func TestUpdateMe(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "bob")
		const updateMe = `mutation($input: UpdateMeInput!) { updateMe(input: $input) { user { id name avatarUrl } } }`
		w.Run(
			graphtest.Scenario{Name: "in a new app", As: "ann", Query: updateMe, Variables: input("name", "Anna"),
				WantCode: "FEATURE_DISABLED", WantData: `{"updateMe":null}`},
			graphtest.Scenario{Name: "the setting is off", As: graphtest.AppServer, Query: `{ app { settings { profileEditEnabled } } }`,
				WantData: `{"app":{"settings":{"profileEditEnabled":false}}}`},
		)
		w.Set(map[string]string{"profileEditEnabled": "true"})
		w.Run(
			graphtest.Scenario{Name: "the name and the avatar", As: "ann", Query: updateMe, Variables: input("name", "Anna", "avatarUrl", "https://example.org/a.png"),
				WantData: `{"updateMe":{"user":{"id":"ann","name":"Anna","avatarUrl":"https://example.org/a.png"}}}`},
			graphtest.Scenario{Name: "zero values", As: "ann", Query: updateMe, Variables: input("name", "", "avatarUrl", "", "removeAvatar", false),
				WantData: `{"updateMe":{"user":{"id":"ann","name":"ann","avatarUrl":"https://example.org/a.png"}}}`},
			graphtest.Scenario{Name: "an avatar that is also removed", As: "ann", Query: updateMe, Variables: input("avatarUrl", "https://example.org/b.png", "removeAvatar", true),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.avatarUrl", "without"), WantData: `{"updateMe":null}`},
			graphtest.Scenario{Name: "a blank name", As: "ann", Query: updateMe, Variables: input("name", " "),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.name", "notblank")},
			graphtest.Scenario{Name: "no avatar", As: "ann", Query: updateMe, Variables: input("removeAvatar", true),
				WantData: `{"updateMe":{"user":{"id":"ann","name":"ann","avatarUrl":null}}}`},
			graphtest.Scenario{Name: "an App Server", As: graphtest.AppServer, Query: updateMe, Variables: input("name", "X"), WantCode: "FORBIDDEN"},
			graphtest.Scenario{Name: "a guest", Query: updateMe, Variables: input("name", "X"), WantCode: "UNAUTHENTICATED"},
			graphtest.Scenario{Name: "stored values", As: "bob", Query: `{ users(ids: ["ann", "bob"]) { name avatarUrl } }`,
				WantData: `{"users":[{"name":"ann","avatarUrl":null},{"name":"bob","avatarUrl":null}]}`},
		)
	})
}

func TestUser_Read(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "bob")
		w.Register(w.Other, "eve")
		many := make([]string, 501)
		for i := range many {
			many[i] = "x"
		}
		const users = `query($ids: [ID!]!) { users(ids: $ids) { id } }`
		w.Run(
			graphtest.Scenario{
				Name: "oneself", As: "ann", Query: `{ me { id name createdAt updatedAt state status { userId presence customStatus changedAt } } }`,
				WantData: `{"me":{"id":"ann","name":"ann","createdAt":"2026-11-20T08:15:30.123Z","updatedAt":"2026-11-20T08:15:30.123Z","state":"ACTIVE","status":{"userId":"ann","presence":"UNLOGINED","customStatus":"","changedAt":null}}}`,
			},
			graphtest.Scenario{Name: "another", As: "ann", Query: `{ user(id: "bob") { id } }`, WantData: `{"user":{"id":"bob"}}`},
			graphtest.Scenario{Name: "nobody", As: "ann", Query: `{ user(id: "Bob") { id } }`, WantData: `{"user":null}`},
			graphtest.Scenario{Name: "of another app", As: "ann", Query: `{ user(id: "eve") { id } }`, WantData: `{"user":null}`},
			graphtest.Scenario{Name: "several", As: graphtest.AppServer, Query: users, Variables: map[string]any{"ids": []string{"bob", "eve", "ann", "bob"}},
				WantData: `{"users":[{"id":"bob"},null,{"id":"ann"},{"id":"bob"}]}`},
			graphtest.Scenario{Name: "none", As: graphtest.AppServer, Query: users, Variables: map[string]any{"ids": []string{}}, WantData: `{"users":[]}`},
			graphtest.Scenario{Name: "500", As: graphtest.AppServer, Query: users, Variables: map[string]any{"ids": many[:500]}},
			graphtest.Scenario{Name: "501", As: graphtest.AppServer, Query: users, Variables: map[string]any{"ids": many},
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("ids", "max")},
			graphtest.Scenario{Name: "ill-formed", As: graphtest.AppServer, Query: users,
				Variables: map[string]any{"ids": []string{"ann", "d e", "", "ann ", "丽", strings.Repeat("a", 65)}},
				WantData:  `{"users":[{"id":"ann"},null,null,null,null,null]}`},
			graphtest.Scenario{Name: "an ill-formed single ID", As: graphtest.AppServer, Query: `{ user(id: "ann ") { id } }`,
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("id", "userid"), WantData: `{"user":null}`},
			graphtest.Scenario{Name: "a guest", Query: `{ __typename user(id: "bob") { id } }`, WantCode: "UNAUTHENTICATED", WantData: `{"__typename":"Query","user":null}`},
		)
	})
}

func TestUserToken_OverHTTP(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		at := strings.LastIndexByte(ann, '.') + 1
		other := map[bool]string{true: "B", false: "A"}[ann[at] == 'A'] // all six bits of this character are significant, unlike those of the last
		for name, authorization := range map[string]string{
			"garbage":        "Bearer garbage",
			"basic":          "Basic YTpi",
			"a bare token":   strings.TrimPrefix(ann, "Bearer "),
			"nothing behind": "Bearer ",
			"a forged token": ann[:at] + other + ann[at+1:],
		} {
			r := w.Do(authorization, `{ __typename }`, nil)
			if r.Status != http.StatusUnauthorized || r.Code() != "UNAUTHENTICATED" {
				w.T.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		if r := w.Do(strings.Replace(ann, "Bearer", "bearer", 1), `{ me { id } }`, nil); r.Code() != "" {
			w.T.Errorf("the scheme is case-sensitive: %s", r.Body)
		}
	})
}
