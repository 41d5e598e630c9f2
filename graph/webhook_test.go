package graph_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/graph/graphtest"
	"rollcall/models"
)

// unreachable is the URL of an endpoint; the server refuses its address.
const unreachable = "https://127.0.0.1:1"

func write(w *graphtest.World, row any) {
	w.T.Helper()
	ok(w.T, w.DB.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Create(row).Error }))
}

// newEndpoint writes an endpoint of an app and returns its ID. Unlike the mutation, it does not wait.
func newEndpoint(w *graphtest.World, tenant graphtest.Tenant) string {
	w.T.Helper()
	e := &models.WebhookEndpoint{AppID: tenant.ID, URL: unreachable, Secret: make([]byte, 32), State: models.EndpointEnabled, CreatedAt: models.TimeOf(w.Clock.Now())}
	write(w, e)
	return w.Webhooks.EndpointID(e)
}

// newDelivery writes a delivery to an endpoint in a state, with an event about ann, and returns its ID.
func newDelivery(w *graphtest.World, endpointID string, state models.DeliveryState) string {
	w.T.Helper()
	key, err := w.Webhooks.EndpointKey(w.App.App, endpointID)
	ok(w.T, err)
	now := models.TimeOf(w.Clock.Now())
	uid := "019acd3e-2f05-7cc1-9d2e-" + strings.Repeat("0", 11) + string(rune('a'+len(state)))
	event := &models.Event{UID: uid, AppID: w.App.ID, Type: "user.banned", Subject: "ann", Version: now, OccurredAt: now, Data: `{}`}
	write(w, event)
	problem := "an error"
	// The pending one is not due, so that no test sends it.
	d := &models.Delivery{EndpointID: key, EventID: event.ID, State: state, Attempts: 3, NextAttemptAt: now.Add(time.Hour), LastStatus: 500, LastError: &problem, LastMs: 7}
	write(w, d)
	sent, err := w.Webhooks.Delivery(context.Background(), w.App.App, key, d.ID)
	ok(w.T, err)
	return w.Webhooks.DeliveryID(w.App.App, sent)
}

const endpointFields = `{ id url description eventTypes enabled disabledReason failingSince previousSecretEndsAt createdAt }`

// TestWebhookEndpoints is the life of an endpoint.
func TestWebhookEndpoints(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const url = "https://app.example/events"
		created := w.Do(w.Bearer(server), `mutation($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { secret endpoint `+endpointFields+` } }`,
			input("url", url, "description", "Billing", "eventTypes", []string{"user.banned"}))
		var made struct {
			CreateWebhookEndpoint struct {
				Secret   string
				Endpoint struct{ ID string }
			}
		}
		ok(t, json.Unmarshal(created.Data, &made))
		id := made.CreateWebhookEndpoint.Endpoint.ID
		if made.CreateWebhookEndpoint.Secret[:6] != "whsec_" || !strings.HasPrefix(id, "webhookEndpoint:") {
			w.T.Fatalf("%s", created.Body)
		}
		fields := func(description, types, enabled, reason, previous string) string {
			return strings.NewReplacer("URL", url, "ID", id).Replace(`{"id":"ID","url":"URL","description":"` + description + `","eventTypes":` + types +
				`,"enabled":` + enabled + `,"disabledReason":` + reason + `,"failingSince":null,"previousSecretEndsAt":` + previous + `,"createdAt":"2026-11-20T08:15:30.123Z"}`)
		}
		const update = `mutation($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) { endpoint ` + endpointFields + ` } }`
		w.Run(
			graphtest.Scenario{Name: "the list", As: server, Query: `{ webhookEndpoints ` + endpointFields + ` }`,
				WantData: `{"webhookEndpoints":[` + fields("Billing", `["user.banned"]`, "true", "null", "null") + `]}`},
			graphtest.Scenario{Name: "rotation", As: server, Query: `mutation($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) { secret endpoint ` + endpointFields + ` } }`,
				Variables: input("endpointId", id), WantData: `{"rotateWebhookSecret":{"secret":"*","endpoint":` +
					fields("Billing", `["user.banned"]`, "true", "null", `"2026-11-21T08:15:30.123Z"`) + `}}`},
			graphtest.Scenario{Name: "rotation at once", As: server, Query: `mutation($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) { endpoint ` + endpointFields + ` } }`,
				Variables: input("endpointId", id, "endAtOnce", true), WantData: `{"rotateWebhookSecret":{"endpoint":` +
					fields("Billing", `["user.banned"]`, "true", "null", "null") + `}}`},
			graphtest.Scenario{Name: "a test", As: server, Query: `mutation($input: TestWebhookEndpointInput!) { testWebhookEndpoint(input: $input) { delivery { eventType eventUserId deliveryState attemptCount lastStatus lastError lastDurationMs } } }`,
				Variables: input("endpointId", id),
				WantData:  `{"testWebhookEndpoint":{"delivery":{"eventType":"endpoint.test","eventUserId":null,"deliveryState":"PENDING","attemptCount":0,"lastStatus":null,"lastError":null,"lastDurationMs":null}}}`},
			graphtest.Scenario{Name: "nothing is changed", As: server, Query: update, Variables: input("endpointId", id, "url", "", "description", "", "eventTypes", []string{}),
				WantData: `{"updateWebhookEndpoint":{"endpoint":` + fields("Billing", `["user.banned"]`, "true", "null", "null") + `}}`},
			graphtest.Scenario{Name: "disabled", As: server, Query: update, Variables: input("endpointId", id, "removeDescription", true, "disable", true),
				WantData: `{"updateWebhookEndpoint":{"endpoint":` + fields("", `["user.banned"]`, "false", `"REQUESTED"`, "null") + `}}`},
			refusal("a test of a disabled one", server, `mutation($input: TestWebhookEndpointInput!) { testWebhookEndpoint(input: $input) { delivery { id } } }`,
				input("endpointId", id), "INVALID_ARGUMENT", "field", "input.endpointId", "rule", "enabled"),
			graphtest.Scenario{Name: "deletion", As: server, Query: `mutation($input: DeleteWebhookEndpointInput!) { deleteWebhookEndpoint(input: $input) { endpointId } }`,
				Variables: input("endpointId", id), WantData: `{"deleteWebhookEndpoint":{"endpointId":"` + id + `"}}`},
			graphtest.Scenario{Name: "the list is empty", As: server, Query: `{ webhookEndpoints { id } }`, WantData: `{"webhookEndpoints":[]}`},
			graphtest.Scenario{Name: "the node is gone", As: server, Query: nodeQuery, Variables: map[string]any{"id": id}, WantData: `{"node":null}`},
		)
		if strings.Contains(w.Log.String(), made.CreateWebhookEndpoint.Secret) {
			t.Error("the log has the secret")
		}
	})
}

// webhookCalls are the operations about an endpoint and one of its deliveries.
var webhookCalls = map[string]string{
	"deliveries": `query($e: ID!) { webhookDeliveries(endpointId: $e) { nodes { id } } }`,
	"update":     `mutation($e: ID!) { updateWebhookEndpoint(input: {endpointId: $e, description: "x"}) { endpoint { id } } }`,
	"rotate":     `mutation($e: ID!) { rotateWebhookSecret(input: {endpointId: $e}) { secret } }`,
	"test":       `mutation($e: ID!) { testWebhookEndpoint(input: {endpointId: $e}) { delivery { id } } }`,
	"replay all": `mutation($e: ID!) { replayWebhookDeliveries(input: {endpointId: $e}) { replayedCount } }`,
	"replay one": `mutation($d: ID!) { replayWebhookDelivery(input: {deliveryId: $d}) { delivery { id } } }`,
	"delete":     `mutation($e: ID!) { deleteWebhookEndpoint(input: {endpointId: $e}) { endpointId } }`,
}

// TestWebhooks_OfAnotherApp: no call reaches an endpoint or a delivery of another app, nor one that
// does not exist, and the two cannot be told apart.
func TestWebhooks_OfAnotherApp(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		endpoint := newEndpoint(w, w.App)
		delivery := newDelivery(w, endpoint, models.DeliveryFailed)
		foreign := newEndpoint(w, w.Other)
		for name, query := range webhookCalls {
			for as, ids := range map[string][2]string{
				graphtest.OtherServer: {endpoint, delivery},
				graphtest.AppServer:   {foreign, strings.Replace(foreign, "Endpoint", "Delivery", 1)},
			} {
				s := graphtest.Scenario{Name: name + " as " + as, As: as, Query: query, WantCode: "WEBHOOK_NOT_FOUND"}
				s.Variables = map[string]any{"e": ids[0]}
				if strings.Contains(query, "$d") {
					s.Variables = map[string]any{"d": ids[1]}
				}
				w.Run(s)
			}
		}
		for caller, want := range map[string][2]string{
			server:                {`{"id":"` + endpoint + `","url":"` + unreachable + `"}`, `{"id":"` + delivery + `","eventType":"user.banned"}`},
			graphtest.OtherServer: {"null", "null"},
			"ann":                 {"null", "null"},
		} {
			w.Run(graphtest.Scenario{Name: "nodes as " + caller, As: caller,
				Query:     `query($ids: [ID!]!) { nodes(ids: $ids) { ... on WebhookEndpoint { id url } ... on WebhookDelivery { id eventType } } }`,
				Variables: map[string]any{"ids": []string{endpoint, delivery}}, WantData: `{"nodes":[` + want[0] + `,` + want[1] + `]}`})
		}
		w.Run(
			graphtest.Scenario{Name: "the list of another app", As: graphtest.OtherServer, Query: `{ webhookEndpoints { id } }`, WantData: `{"webhookEndpoints":[{"id":"` + foreign + `"}]}`},
			graphtest.Scenario{Name: "the endpoint is unchanged", As: server, Query: `{ webhookEndpoints { id description enabled } }`,
				WantData: `{"webhookEndpoints":[{"id":"` + endpoint + `","description":"","enabled":true}]}`},
		)
	})
}

func TestWebhookDeliveries(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		endpoint := newEndpoint(w, w.App)
		failed := newDelivery(w, endpoint, models.DeliveryFailed)
		delivered := newDelivery(w, endpoint, models.DeliveryDelivered)
		pending := newDelivery(w, endpoint, models.DeliveryPending)
		list := func(args, want string) graphtest.Scenario {
			return graphtest.Scenario{Name: "deliveries " + args, As: server,
				Query: `query($e: ID!) { webhookDeliveries(endpointId: $e` + args + `) { nodes { id } pageInfo { hasNextPage } } }`, Variables: map[string]any{"e": endpoint},
				WantData: `{"webhookDeliveries":` + want + `}`}
		}
		w.Run(
			list("", `{"nodes":[{"id":"`+pending+`"},{"id":"`+delivered+`"},{"id":"`+failed+`"}],"pageInfo":{"hasNextPage":false}}`),
			list(", state: FAILED", `{"nodes":[{"id":"`+failed+`"}],"pageInfo":{"hasNextPage":false}}`),
			list(", first: 2", `{"nodes":[{"id":"`+pending+`"},{"id":"`+delivered+`"}],"pageInfo":{"hasNextPage":true}}`),
			graphtest.Scenario{Name: "all fields", As: server,
				Query:     `query($id: ID!) { node(id: $id) { ... on WebhookDelivery { eventId eventType eventUserId occurredAt deliveryState attemptCount nextAttemptAt lastStatus lastError lastDurationMs } } }`,
				Variables: map[string]any{"id": pending}, WantData: `{"node":{"eventId":"*","eventType":"user.banned","eventUserId":"ann","occurredAt":"2026-11-20T08:15:30.123Z",
					"deliveryState":"PENDING","attemptCount":3,"nextAttemptAt":"2026-11-20T09:15:30.123Z","lastStatus":500,"lastError":"an error","lastDurationMs":7}}`},
			graphtest.Scenario{Name: "no next attempt", As: server, Query: `query($id: ID!) { node(id: $id) { ... on WebhookDelivery { deliveryState nextAttemptAt } } }`,
				Variables: map[string]any{"id": failed}, WantData: `{"node":{"deliveryState":"FAILED","nextAttemptAt":null}}`},
		)
		page := w.Do(w.Bearer(server), `query($e: ID!) { webhookDeliveries(endpointId: $e, first: 1) { edges { cursor } } }`, map[string]any{"e": endpoint})
		var first struct {
			WebhookDeliveries struct{ Edges []struct{ Cursor string } }
		}
		ok(t, json.Unmarshal(page.Data, &first))
		after := first.WebhookDeliveries.Edges[0].Cursor
		other := newEndpoint(w, w.App)
		const replay = `mutation($input: ReplayWebhookDeliveriesInput!) { replayWebhookDeliveries(input: $input) { replayedCount } }`
		w.Run(
			list(`, after: "`+after+`"`, `{"nodes":[{"id":"`+delivered+`"},{"id":"`+failed+`"}],"pageInfo":{"hasNextPage":false}}`),
			refusal("a cursor of another endpoint", server, `query($e: ID!) { webhookDeliveries(endpointId: $e, after: "`+after+`") { nodes { id } } }`,
				map[string]any{"e": other}, "INVALID_ARGUMENT", "field", "after", "rule", "cursor"),
			refusal("too large a page", server, `query($e: ID!) { webhookDeliveries(endpointId: $e, first: 101) { nodes { id } } }`,
				map[string]any{"e": endpoint}, "INVALID_ARGUMENT", "field", "first", "rule", "max"),
			graphtest.Scenario{Name: "replay of one that was delivered", As: server, Query: `mutation($input: ReplayWebhookDeliveryInput!) { replayWebhookDelivery(input: $input) { delivery { id deliveryState } } }`,
				Variables: input("deliveryId", delivered), WantData: `{"replayWebhookDelivery":{"delivery":{"id":"` + delivered + `","deliveryState":"PENDING"}}}`},
			graphtest.Scenario{Name: "replay of none", As: server, Query: replay, Variables: input("endpointId", endpoint, "since", "2026-11-20T08:15:30.124Z"),
				WantData: `{"replayWebhookDeliveries":{"replayedCount":0}}`},
			graphtest.Scenario{Name: "replay of those that failed", As: server, Query: replay, Variables: input("endpointId", endpoint, "since", "2026-11-20T08:15:30.123Z"),
				WantData: `{"replayWebhookDeliveries":{"replayedCount":1}}`},
		)
	})
}

func TestWebhooks_Refuse(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		endpoint := newEndpoint(w, w.App)
		const (
			create = `mutation($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { secret } }`
			update = `mutation($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) { endpoint { id } } }`
			rotate = `mutation($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) { secret } }`
			remove = `mutation($input: DeleteWebhookEndpointInput!) { deleteWebhookEndpoint(input: $input) { endpointId } }`
			url    = "https://example.org"
		)
		long := strings.Repeat("a", 129)
		for _, c := range []struct {
			query, field, rule string
			given              map[string]any
		}{
			{create, "url", "required", input("url", "")},
			{create, "url", "http_url", input("url", "ftp://example.org")},
			{create, "url", "https", input("url", "http://example.org")},
			{create, "description", "max", input("url", url, "description", long)},
			{create, "eventTypes.1", "oneof", input("url", url, "eventTypes", []string{"user.banned", "user.greeted"})},
			{create, "eventTypes.0", "max", input("url", url, "eventTypes", []string{long})},
			{create, "eventTypes", "max", input("url", url, "eventTypes", strings.Split(strings.Repeat("user.banned ", 51), " "))},
			{update, "endpointId", "node", input("endpointId", "ann")},
			{update, "url", "https", input("endpointId", endpoint, "url", "http://example.org")},
			{update, "description", "without", input("endpointId", endpoint, "description", "a", "removeDescription", true)},
			{update, "eventTypes", "without", input("endpointId", endpoint, "eventTypes", []string{"user.banned"}, "allEventTypes", true)},
			{update, "eventTypes.0", "oneof", input("endpointId", endpoint, "eventTypes", []string{"endpoint.test"})},
			{update, "disable", "without", input("endpointId", endpoint, "enable", true, "disable", true)},
			{rotate, "graceHours", "max", input("endpointId", endpoint, "graceHours", 721)},
			{rotate, "graceHours", "without", input("endpointId", endpoint, "graceHours", 1, "endAtOnce", true)},
			{remove, "endpointId", "node", input("endpointId", "webhookDelivery:x")},
		} {
			w.Run(refusal(c.field+" "+c.rule, server, c.query, c.given, "INVALID_ARGUMENT", "field", "input."+c.field, "rule", c.rule))
		}
		for range 19 {
			newEndpoint(w, w.App)
		}
		w.Run(refusal("one endpoint too many", server, create, input("url", url), "WEBHOOK_LIMIT_REACHED", "limit", 20))
	})
}

// TestEvents reads the feed; internal/webhooks tests its order.
func TestEvents(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const query = `query($after: String, $first: Int) { events(first: $first, after: $after) { nodes { eventId type timestamp userId data body } pageInfo { hasNextPage endCursor } } }`
		w.Run(graphtest.Scenario{Name: "without the switch", As: server, Query: query, WantCode: "FEATURE_DISABLED"})
		w.Set(map[string]string{"eventFeedEnabled": "true"})
		w.Register(w.Other, "eve")
		w.Register(w.App, "ann")
		w.Register(w.App, "bob")
		event := func(id string) string {
			return `{"eventId":"*","type":"user.registered","timestamp":"2026-11-20T08:15:30.123Z","userId":"` + id +
				`","data":"{\"user\":{\"id\":\"` + id + `\",\"version\":1795162530123,\"state\":\"ACTIVE\",\"name\":\"` + id + `\"}}","body":"*"}`
		}
		w.Run(
			graphtest.Scenario{Name: "the first page", As: server, Query: query, Variables: map[string]any{"first": 1},
				WantData: `{"events":{"nodes":[` + event("ann") + `],"pageInfo":{"hasNextPage":true,"endCursor":"*"}}}`},
			graphtest.Scenario{Name: "all", As: server, Query: query,
				WantData: `{"events":{"nodes":[` + event("ann") + `,` + event("bob") + `],"pageInfo":{"hasNextPage":false,"endCursor":"*"}}}`},
			graphtest.Scenario{Name: "another app, whose switch is off", As: graphtest.OtherServer, Query: query, WantCode: "FEATURE_DISABLED"},
			refusal("a page that is too large", server, query, map[string]any{"first": 501}, "INVALID_ARGUMENT", "field", "first", "rule", "max"),
			refusal("no cursor", server, query, map[string]any{"after": "x"}, "INVALID_ARGUMENT", "field", "after", "rule", "cursor"),
		)
		var page struct {
			Events struct {
				Nodes    []struct{ EventID, Body string }
				PageInfo struct{ EndCursor string }
			}
		}
		ok(t, json.Unmarshal(w.Do(w.Bearer(server), query, map[string]any{"first": 1}).Data, &page))
		if !strings.HasPrefix(page.Events.Nodes[0].Body, `{"id":"`+page.Events.Nodes[0].EventID+`","type":"user.registered","timestamp":`) {
			t.Errorf("the body is %s", page.Events.Nodes[0].Body)
		}
		if _, err := w.Apps.Set(context.Background(), w.Other.Key, map[string]string{"eventFeedEnabled": "true"}, models.Actor{}); err != nil {
			t.Fatal(err)
		}
		w.Run(
			graphtest.Scenario{Name: "the second page", As: server, Query: query, Variables: map[string]any{"after": page.Events.PageInfo.EndCursor},
				WantData: `{"events":{"nodes":[` + event("bob") + `],"pageInfo":{"hasNextPage":false,"endCursor":"*"}}}`},
			graphtest.Scenario{Name: "the feed of another app", As: graphtest.OtherServer, Query: query,
				WantData: `{"events":{"nodes":[],"pageInfo":{"hasNextPage":false,"endCursor":null}}}`},
			refusal("a cursor of another app", graphtest.OtherServer, query, map[string]any{"after": page.Events.PageInfo.EndCursor}, "INVALID_ARGUMENT", "field", "after", "rule", "cursor"),
		)
	})
}
