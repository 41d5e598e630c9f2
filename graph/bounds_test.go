package graph_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/graphtest"
	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
)

// TestBounds_OfSchemaAreThoseOfRules calls the rules without the schema, with values at each bound
// that the schema documents and with values beyond it: the rules accept the former and refuse the
// latter.
func TestBounds_OfSchemaAreThoseOfRules(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		owners := boundOwners(w)
		for _, b := range schemaBounds(schema()) {
			if b.ofCall() {
				continue
			}
			owner := owners[b.place]
			if owner == nil {
				w.T.Errorf("no rule for %s: add it to boundOwners, or to ofCall", b.place)
				continue
			}
			delete(owners, b.place)
			for tag, s := range b.samples(w.T) {
				for _, value := range s.allowed {
					if err := owner(value); fault.CodeOf(err) == fault.InvalidArgument {
						w.T.Errorf("%s refuses %.80v: %v", b.place, value, err)
					}
				}
				for _, value := range s.refused {
					refusal, _ := fault.As(owner(value))
					if refusal == nil || refusal.Code != fault.InvalidArgument {
						w.T.Errorf("%s accepts %.80q, which the rule %s forbids", b.place, value, tag)
					}
				}
			}
		}
		for place := range owners {
			w.T.Errorf("the schema has no bound for %s", place)
		}
	})
}

// boundOwners has for each value that the schema bounds the call of the rule that owns it.
func boundOwners(w *graphtest.World) map[string]func(any) error {
	ctx := context.Background()
	for _, id := range []string{"ann", "bob"} {
		w.Register(w.App, id)
	}
	app := w.App.App
	ann, err := w.Users.ByID(ctx, app.ID, "ann")
	if err != nil {
		w.T.Fatal(err)
	}
	register := func(change func(*users.Registration)) error {
		in := users.Registration{ID: "ann", Name: "Ann"}
		change(&in)
		_, err := w.Users.Register(ctx, app, in)
		return err
	}
	update := func(change users.Change) error {
		_, err := w.Users.Update(ctx, app, "ann", change)
		return err
	}
	editable := *app
	editable.Settings.ProfileEditEnabled = true
	updateOwn := func(change users.Change) error {
		_, err := w.Users.UpdateOwn(ctx, &editable, "ann", change)
		return err
	}
	ban := func(sentence users.Sentence) error {
		_, err := w.Users.Ban(ctx, app, []string{"nobody"}, sentence, audit.AppServer)
		return err
	}
	text := func(value any) *string { s := value.(string); return &s }
	seconds := func(value any) time.Duration { return time.Duration(value.(int)) * time.Second }
	return map[string]func(any) error{
		"RegisterUserInput.id":        func(v any) error { return register(func(in *users.Registration) { in.ID = v.(string) }) },
		"RegisterUserInput.name":      func(v any) error { return register(func(in *users.Registration) { in.Name = v.(string) }) },
		"RegisterUserInput.avatarUrl": func(v any) error { return register(func(in *users.Registration) { in.AvatarURL = v.(string) }) },
		"RegisterUserInput.tokenTtlSeconds": func(v any) error {
			return register(func(in *users.Registration) { in.TokenTTL = seconds(v) })
		},
		"IssueUserTokenInput.ttlSeconds": func(v any) error {
			_, err := w.Users.IssueToken(ctx, app, users.TokenRequest{UserID: "ann", TTL: seconds(v)})
			return err
		},
		"UpdateUserInput.name":      func(v any) error { return update(users.Change{Name: v.(string)}) },
		"UpdateMeInput.name":        func(v any) error { return updateOwn(users.Change{Name: v.(string)}) },
		"UpdateMeInput.avatarUrl":   func(v any) error { return updateOwn(users.Change{AvatarURL: v.(string)}) },
		"UpdateUserInput.avatarUrl": func(v any) error { return update(users.Change{AvatarURL: v.(string)}) },
		"BanUsersInput.minutes": func(v any) error {
			return ban(users.Sentence{Length: time.Duration(v.(int)) * time.Minute})
		},
		"BanUsersInput.reason": func(v any) error { return ban(users.Sentence{Length: time.Hour, Reason: text(v)}) },
		"IssueAppTokenInput.ttlSeconds": func(v any) error {
			_, _, err := w.Apps.IssueToken(ctx, w.App.Key, w.App.Secret, seconds(v))
			return err
		},
		"AddFriendInput.remark": func(v any) error {
			_, err := w.Relations.AddFriend(ctx, app, "ann", "bob", text(v))
			return err
		},
		"SetFriendRemarkInput.remark": func(v any) error {
			_, err := w.Relations.SetFriendRemark(ctx, app, "ann", "bob", v.(string))
			return err
		},
		"SendFriendRequestInput.message": func(v any) error {
			_, err := w.Relations.SendFriendRequest(ctx, app, "ann", "bob", text(v))
			return err
		},
		"CreateWebhookEndpointInput.url": func(v any) error { return webhooks.NewEndpoint{URL: v.(string)}.Validate() },
		"CreateWebhookEndpointInput.description": func(v any) error {
			return webhooks.NewEndpoint{URL: "https://a.example", Description: v.(string)}.Validate()
		},
		"UpdateWebhookEndpointInput.url":         func(v any) error { return webhooks.EndpointChange{URL: text(v)}.Validate() },
		"UpdateWebhookEndpointInput.description": func(v any) error { return webhooks.EndpointChange{Description: text(v)}.Validate() },
		"RotateWebhookSecretInput.graceHours": func(v any) error {
			_, _, err := w.Webhooks.RotateSecret(ctx, app, 1, time.Duration(v.(int))*time.Hour, audit.AppServer)
			return err
		},
		"SetStatusInput.customStatus": func(v any) error {
			_, err := w.Presence.SetStatus(ctx, status.AccountOf(ann), v.(string))
			return err
		},
	}
}

// ofCall reports whether the bound limits a call, and not a value that is kept: the sizes of lists and
// pages, IDs to look up, texts to search for and secrets to compare.
func (b bound) ofCall() bool {
	switch b.place {
	case "RegisterUserInput.id":
		return false
	case "UserFilter.search", "IssueAppTokenInput.appSecret", "UpdateWebhookEndpointInput.disable":
		return true
	}
	return b.list || b.id || strings.HasSuffix(b.place, "(first)")
}

// samples are values for one tag of a rule.
type samples struct{ allowed, refused []any }

// samples returns values at and beyond the bounds of each tag of the rule.
func (b bound) samples(t testing.TB) map[string]samples {
	begin := ""
	if strings.Contains(b.rule, "http_url") {
		begin = "http://a/"
	}
	text := func(n int) any { return begin + strings.Repeat("x", n-len(begin)) }
	out := make(map[string]samples)
	for _, tag := range strings.Split(b.rule, ",") {
		name, param, _ := strings.Cut(tag, "=")
		n, _ := strconv.Atoi(param)
		switch {
		case name == "omitnil", name == "omitempty", name == "either", name == "without":
		case name == "required":
			out[name] = samples{[]any{text(len(begin) + 1)}, []any{""}}
		case b.number && name == "min":
			beyond := n - 1
			if beyond == 0 && strings.Contains(b.rule, "omitempty") {
				beyond = -1 // 0 is not given
			}
			out[name] = samples{[]any{n}, []any{beyond}}
		case b.number && name == "max":
			out[name] = samples{[]any{n}, []any{n + 1}}
		case name == "maxbytes" && begin == "":
			out[name] = samples{[]any{text(n), strings.Repeat("é", n/2)}, []any{text(n + 1), strings.Repeat("é", n/2+1)}}
		case name == "maxbytes":
			out[name] = samples{[]any{text(n)}, []any{text(n + 1)}}
		case name == "max" && strings.Contains(b.rule, "userid"):
			out[name] = samples{[]any{text(n)}, []any{text(n + 1)}}
		case name == "max":
			out[name] = samples{[]any{text(n), strings.Repeat("é", n)}, []any{text(n + 1), strings.Repeat("é", n+1)}}
		default:
			wrong := map[string]string{
				"userid": "a b", "notblank": " ", "nocontrol": "a\n", "nobidi": "a\u202e", "http_url": "ftp://a/",
			}[name]
			if wrong == "" {
				t.Errorf("no wrong value for %s", tag)
			}
			out[name] = samples{[]any{text(10)}, []any{wrong}}
		}
	}
	return out
}

// bound is a rule of the schema for the values at a place, such as BanUsersInput.minutes.
type bound struct {
	place, rule string
	// number, list and id report what kind of value it is.
	number, list, id bool
}

// schemaBounds returns the rules of all input fields and arguments.
func schemaBounds(s *ast.Schema) (bounds []bound) {
	add := func(place, rule string, t *ast.Type) {
		if rule != "" {
			bounds = append(bounds, bound{place: place, rule: rule, number: t.Name() == "Int", list: t.Elem != nil, id: t.Name() == "ID"})
		}
	}
	for _, def := range ours(s) {
		for _, field := range def.Fields {
			for _, mark := range field.Directives.ForNames("goTag") {
				if mark.Arguments.ForName("key").Value.Raw == "validate" {
					add(def.Name+"."+field.Name, mark.Arguments.ForName("value").Value.Raw, field.Type)
				}
			}
			for _, arg := range field.Arguments {
				if mark := arg.Directives.ForName("validate"); mark != nil {
					add(def.Name+"."+field.Name+"("+arg.Name+")", mark.Arguments.ForName("rule").Value.Raw, arg.Type)
				}
			}
		}
	}
	return bounds
}
