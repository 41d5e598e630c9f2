package console

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/testenv"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// never is later than any time by the clock of a database.
const never = models.Time(1) << 60

// hold keeps the node from sending to the endpoints that there are.
func (s *site) hold() {
	s.t.Helper()
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.WebhookEndpoint{}).Where("lease_until < ?", never).Update("lease_until", never).Error
	}))
}

// addEndpoint creates an endpoint that no node sends to.
func (s *site) addEndpoint(app *models.App, url string, types ...outbox.Type) *models.WebhookEndpoint {
	s.t.Helper()
	e, _, err := s.deps.Webhooks.Create(context.Background(), app, webhooks.NewEndpoint{URL: url, Types: types}, setup)
	s.check(err)
	s.hold()
	return e
}

// addDelivery adds a delivery of an event of the user ann, which happened now, and returns its ID.
func (s *site) addDelivery(e *models.WebhookEndpoint, d models.Delivery) int64 {
	s.t.Helper()
	now := models.TimeOf(s.clock())
	row, err := outbox.NewRow(e.AppID, outbox.Event{
		Type: outbox.UserUpdated, Subject: "ann", At: now, Data: outbox.Data{User: outbox.User{State: models.UserActive}},
		Personal: outbox.Personal{Name: "<script>alert(1)</script>\"'&"},
	}, now)
	s.check(err)
	if d.NextAttemptAt == 0 {
		d.NextAttemptAt = now
	}
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(row).Error; err != nil {
			return err
		}
		d.EndpointID, d.EventID = e.ID, row.ID
		return tx.Create(&d).Error
	}))
	return d.ID
}

// change changes columns of an endpoint.
func (s *site) changeEndpoint(e *models.WebhookEndpoint, columns map[string]any) {
	s.t.Helper()
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.Model(e).Updates(columns).Error }))
}

// delivery returns a delivery as it is stored.
func (s *site) delivery(id int64) (d models.Delivery) {
	s.t.Helper()
	s.check(s.db.Read(context.Background()).Take(&d, id).Error)
	return d
}

var secretText = regexp.MustCompile(`whsec_[A-Za-z0-9+/]+=*`)

// secretIn returns the secret that a page shows.
func secretIn(t *testing.T, a *answer) string {
	t.Helper()
	found := secretText.FindAllString(strings.ReplaceAll(a.body, "&#43;", "+"), -1)
	if a.StatusCode != http.StatusOK || len(found) != 1 {
		t.Fatalf("%d with secrets %q\n%s", a.StatusCode, found, a.body)
	}
	return found[0]
}

func TestWebhooks(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		admin, viewer := s.as("admin"), s.as("viewer")
		list := webhooksPath(s.dev)
		admin.get(list).want(t, http.StatusOK, "No endpoints yet", list+"/new")
		viewer.get(list).want(t, http.StatusOK, "No endpoints yet", "!"+list+"/new")
		admin.get(overviewPath(s.dev)).want(t, http.StatusOK, "!tile-webhooks")

		// Create, and see the secret once.
		form := url.Values{"url": {" https://app.example/hooks?key=sesame "}, "description": {"Orders " + hostile}, "events": {"all"}}
		made := admin.reveal(list+"/new", form)
		made.want(t, http.StatusOK, "The endpoint was created", "shown here for 5 minutes", "https://app.example/hooks?key=sesame")
		first := secretIn(t, made)
		s.hold()
		found, err := s.deps.Webhooks.List(t.Context(), s.dev)
		s.check(err)
		e := found[0]
		path := endpointPath(s.dev, e.ID)
		if e.URL != "https://app.example/hooks?key=sesame" || e.EventTypes != "" || len(found) != 1 {
			t.Fatalf("the endpoint: %+v of %d", e, len(found))
		}
		admin.get(list).want(t, http.StatusOK, "Orders &lt;script&gt;", "hooks?key=sesame", ">Enabled<", "!whsec_")
		viewer.get(list).want(t, http.StatusOK, "Orders &lt;script&gt;", "https://app.example/hooks?…", "!sesame")
		admin.get(webhooksPath(s.prod)).want(t, http.StatusOK, "No endpoints yet")

		// Edit one field. What another operator has changed since stays.
		edit := admin.get(path + "/edit")
		changed := edit.form()
		delete(changed, "") // buttons
		changed.Set("description", "Orders")
		_, err = s.deps.Webhooks.Update(t.Context(), s.dev, e.ID, webhooks.EndpointChange{Types: []outbox.Type{outbox.UserBanned, outbox.BlockAdded}}, setup)
		s.check(err)
		admin.post(path+"/edit", changed).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "The endpoint was changed.", "<h1><bdi>Orders</bdi></h1>", "<code>user.banned</code>, <code>block.added</code>", "!whsec_")
		admin.get(path+"/edit").want(t, http.StatusOK, `value="some" checked`, `value="user.banned" checked`, `value="block.added" checked`, `value="user.updated">`)
		same := admin.get(path + "/edit").form()
		same.Del("type")
		same["type"] = []string{"user.banned", "block.added"}
		admin.post(path+"/edit", same).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "You changed nothing")

		// Rotate. During the overlap both secrets sign.
		admin.get(path+"/rotate-secret").want(t, http.StatusOK, "Rotate the endpoint’s secret?", `value="1440" checked`, "!whsec_")
		rotated := admin.reveal(path+"/rotate-secret", url.Values{"overlap": {"60"}, "unit": {"hours"}})
		rotated.want(t, http.StatusOK, "The new secret of the endpoint", "signed with the previous secret until", "2026-11-20 09:00 UTC")
		second := secretIn(t, rotated)
		if second == first {
			t.Error("the secret is the same")
		}
		admin.get(path).want(t, http.StatusOK, "signs as well until", "2026-11-20 09:00 UTC", "!whsec_")
		admin.get(path+"/rotate-secret").want(t, http.StatusOK, "A new secret ends the previous one at once.")

		// A delivery with its request, which both secrets verify.
		id := s.addDelivery(e, models.Delivery{State: models.DeliveryPending, NextAttemptAt: never})
		one := fmt.Sprintf("%s/deliveries/%d", path, id)
		shown := admin.get(one)
		shown.want(t, http.StatusOK, "<h1>Delivery of <code>user.updated</code></h1>", "none yet", "Waiting", one+"/now", "Rollcall/1.2.3", "application/json", "!whsec_", "!<script>alert")
		header := http.Header{}
		for _, match := range regexp.MustCompile(`<dt><code>([^<]*)</code></dt><dd><code>([^<]*)</code>`).FindAllStringSubmatch(shown.body, -1) {
			header.Set(match[1], html.UnescapeString(match[2]))
		}
		body := html.UnescapeString(regexp.MustCompile(`(?s)<pre class="raw"[^>]*><code>(.*)</code></pre>`).FindStringSubmatch(shown.body)[1])
		if !strings.Contains(body, `"name":"\u003cscript\u003ealert(1)`) || !strings.Contains(body, s.dev.Key) {
			t.Errorf("the body is %s", body)
		}
		for _, secret := range []string{first, second} {
			verifier, err := standardwebhooks.NewWebhook(secret)
			s.check(err)
			if err := verifier.Verify([]byte(body), header); err != nil {
				t.Errorf("%v: %q %s", err, header, body)
			}
		}
		viewer.get(one).want(t, http.StatusOK, "shown to admins only", "webhook-signature", "user.updated", "!v1,", "!Send again", "!sesame")

		// What Rollcall itself says about an attempt is in the reader's language; what others say is not.
		problem := func(status int, text string) {
			s.check(s.db.Exec(t.Context(), "UPDATE deliveries SET last_status = ?, last_error = ?", status, text))
		}
		viewer.head.Set("Accept-Language", "zh-CN")
		problem(0, "no response within 15s")
		viewer.get(one).want(t, http.StatusOK, "15 秒内未收到响应。", "!no response within")
		problem(500, "no response within 15s") // by the receiver
		viewer.get(one).want(t, http.StatusOK, "<code>no response within 15s</code>")
		problem(0, "the endpoint is disabled")
		viewer.get(one).want(t, http.StatusOK, "事件送达之前端点已停用。", "!the endpoint is disabled")
		problem(0, "dial tcp: connection refused")
		viewer.get(one).want(t, http.StatusOK, "<code>dial tcp: connection refused</code>")
		viewer.head.Del("Accept-Language")
		// The pause of the endpoint is not the next attempt of a delivery.
		pause := func(until models.Time) {
			s.check(s.db.Exec(t.Context(), "UPDATE webhook_endpoints SET resume_at = ?", until))
		}
		pause(models.TimeOf(s.clock()).Add(time.Minute))
		viewer.get(path).want(t, http.StatusOK, "Paused until", "Waiting deliveries are not attempted before that")
		pause(models.TimeOf(s.clock()))
		viewer.get(path).want(t, http.StatusOK, "!Paused until")

		// Disable, and what that refuses; enable.
		admin.get(path+"/disable").want(t, http.StatusOK, "Disable the endpoint?")
		admin.post(path+"/disable", nil).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "The endpoint is disabled.", "disabled by an operator", path+"/enable", "!"+path+"/test")
		admin.post(path+"/test", nil).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "Enable it first.")
		admin.post(one+"/replay", nil).wantRedirect(t, path)
		admin.post(path+"/replay", url.Values{"since": {"60"}}).wantRedirect(t, path)
		admin.get(path+"/replay").want(t, http.StatusOK, "Enable it first.", "!Events of the last")
		admin.get(path+"/disable").want(t, http.StatusOK, "The endpoint was already disabled.", "!<form class")
		admin.post(path+"/disable", nil).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "already disabled")
		admin.post(path+"/enable", nil).wantRedirect(t, path)
		admin.get(path).want(t, http.StatusOK, "The endpoint is enabled.", path+"/test")

		// Send a test.
		tested := admin.post(path+"/test", nil)
		target := tested.Header.Get("Location")
		tested.wantRedirect(t, target)
		admin.get(target).want(t, http.StatusOK, "The test event is being sent.", "Delivery of <code>endpoint.test</code>", "Waiting")

		// Delete.
		admin.get(path+"/delete").want(t, http.StatusOK, "Delete the endpoint?", "Delete permanently")
		admin.post(path+"/delete", nil).wantRedirect(t, list)
		admin.get(list).want(t, http.StatusOK, "The endpoint was deleted.", "No endpoints yet")
		admin.get(path).want(t, http.StatusNotFound)
		admin.get(one).want(t, http.StatusNotFound)
		admin.post(path+"/delete", nil).want(t, http.StatusNotFound)

		admin.get("/console/audit?app="+s.dev.Key).want(t, http.StatusOK, "Created a webhook endpoint", "Changed a webhook endpoint",
			"Rotated the secret of a webhook endpoint", "Enabled a webhook endpoint", "Tested a webhook endpoint", "Deleted a webhook endpoint", "Changed: Description<", "State: Disabled<", `Endpoint 1 <span class="badge">deleted<`, `!href="`+path+`"`, "!whsec_", "!sesame")
		if log := s.log.String(); strings.Contains(log, "whsec_") || strings.Contains(log, "sesame") {
			t.Error("the log has a secret")
		}
	})
}

func TestWebhooks_WrongForms(t *testing.T) {
	s := onSQLite(t)
	admin := s.as("admin")
	e := s.addEndpoint(s.dev, "https://app.example/hooks", outbox.UserBanned)
	list, path := webhooksPath(s.dev), endpointPath(s.dev, e.ID)
	good := func(change url.Values) url.Values {
		form := url.Values{"url": {"https://kept.example"}, "description": {"kept"}, "events": {"some"}, "type": {"user.updated"}}
		for name, values := range change {
			form[name] = values
		}
		return form
	}
	for says, change := range map[string]url.Values{
		`id="url-error" role="alert">Enter a URL.`:                                        {"url": {""}},
		`id="url-error" role="alert">Enter a URL such as`:                                 {"url": {"https://me@app.example"}},
		`id="url-error" role="alert">A URL has at most`:                                   {"url": {"https://app.example/" + strings.Repeat("a", 1024)}},
		`id="description-error" role="alert">A description has at most`:                   {"description": {strings.Repeat("a", 129)}},
		`id="description-error" role="alert">A description must not contain bi`:           {"description": {"a\u202eb"}},
		`id="eventTypes-error" role="alert">Choose only types from the list.`:             {"type": {"endpoint.test"}},
		`id="eventTypes-error" role="alert">Types are ticked, but all events are chosen.`: {"events": {"all"}},
		`id="eventTypes-error" role="alert">Tick at least one type`:                       {"type": nil},
		`id="eventTypes-error" role="alert">Choose one of these.`:                         {"events": {"x"}},
	} {
		form := good(change)
		for _, to := range []string{list + "/new", path + "/edit"} {
			got := admin.post(to, form)
			got.want(t, http.StatusUnprocessableEntity, says, "!whsec_")
			for _, name := range []string{"url", "description"} {
				if have := got.form().Get(name); have != form.Get(name) {
					t.Errorf("%s after %q: %s is %q", to, says, name, have)
				}
			}
		}
	}
	found, err := s.deps.Webhooks.List(t.Context(), s.dev)
	s.check(err)
	if len(found) != 1 || found[0].URL != e.URL || found[0].EventTypes != "user.banned" {
		t.Errorf("endpoints: %+v", found)
	}
	admin.post(path+"/rotate-secret", url.Values{"overlap": {"own"}, "amount": {"31"}, "unit": {"days"}}).
		want(t, http.StatusUnprocessableEntity, "1 minute to 30 days", `value="31"`, "!whsec_")
	for says, form := range map[string]url.Values{
		`id="amount-error" role="alert">Enter a whole number`:  {"since": {"own"}, "amount": {"31"}, "unit": {"days"}},
		`id="amount-error" role="alert">Another length`:        {"since": {"60"}, "amount": {"3"}, "unit": {"days"}},
		`id="since-error" role="alert">Choose one of these.`:   {"since": {"61"}},
		`id="amount-error" role="alert">Enter a whole number;`: {"since": {"own"}, "amount": {"x"}, "unit": {"days"}},
	} {
		admin.post(path+"/replay", form).want(t, http.StatusUnprocessableEntity, says)
	}
	for range outbox.MaxEndpoints - 1 {
		s.addEndpoint(s.dev, "https://app.example")
	}
	admin.get(list).want(t, http.StatusOK, "20 endpoints, which is the maximum", "!"+list+"/new")
	admin.get(list+"/new").want(t, http.StatusOK, "20 endpoints, which is the maximum", `!name="url"`)
	admin.post(list+"/new", good(nil)).want(t, http.StatusUnprocessableEntity, "20 endpoints, which is the maximum", "!whsec_")
}

// TestWebhooks_OfAnotherApp: an endpoint is found only by its own app, and a delivery only by its own
// endpoint.
func TestWebhooks_OfAnotherApp(t *testing.T) {
	s := onSQLite(t)
	admin := s.as("admin")
	e := s.addEndpoint(s.dev, "https://app.example/hooks")
	id := s.addDelivery(e, models.Delivery{State: models.DeliveryFailed})
	other := s.addEndpoint(s.dev, "https://app.example/other")
	foreign := endpointPath(s.prod, e.ID)
	valid := url.Values{"url": {"https://evil.example"}, "events": {"all"}, "overlap": {"0"}, "since": {"60"}}
	one := fmt.Sprintf("/deliveries/%d", id)
	for _, path := range []string{foreign, endpointPath(s.dev, e.ID+100), webhooksPath(s.dev) + "/x"} {
		for _, part := range []string{"", "/edit", "/rotate-secret", "/enable", "/disable", "/delete", "/replay", one, one + "/now"} {
			admin.get(path+part).want(t, http.StatusNotFound, "!app.example")
		}
		for _, part := range []string{"/edit", "/rotate-secret", "/enable", "/disable", "/delete", "/test", "/replay", one + "/replay"} {
			admin.post(path+part, valid).want(t, http.StatusNotFound, "!app.example", "!whsec_")
		}
	}
	for _, path := range []string{endpointPath(s.dev, other.ID) + one, endpointPath(s.dev, e.ID) + "/deliveries/x", endpointPath(s.dev, e.ID) + "/deliveries/99"} {
		admin.get(path).want(t, http.StatusNotFound)
		admin.post(path+"/replay", nil).want(t, http.StatusNotFound)
	}
	admin.get(endpointPath(s.dev, e.ID)+"?state=LOST").want(t, http.StatusNotFound)
	admin.get(endpointPath(s.dev, e.ID)+"?after=x").want(t, http.StatusBadRequest)
	if d := s.delivery(id); d.State != models.DeliveryFailed {
		t.Errorf("the delivery was replayed: %+v", d)
	}
}

func TestWebhookDeliveries(t *testing.T) {
	s := onSQLite(t)
	admin, viewer := s.as("admin"), s.as("viewer")
	e := s.addEndpoint(s.dev, "https://app.example/hooks")
	path := endpointPath(s.dev, e.ID)
	text := "a <b>bad</b> gateway"
	old := s.addDelivery(e, models.Delivery{State: models.DeliveryFailed, Attempts: 10, LastStatus: 502, LastError: &text, LastMs: 1234})
	s.pass(2 * time.Hour)
	failed := s.addDelivery(e, models.Delivery{State: models.DeliveryFailed, Attempts: 10, LastError: &text, LastMs: 15})
	done := s.addDelivery(e, models.Delivery{State: models.DeliveryDelivered, Attempts: 1, LastStatus: 204, LastMs: 7})
	for range deliveriesPerPage {
		s.addDelivery(e, models.Delivery{State: models.DeliveryPending})
	}
	at := func(id int64) string { return fmt.Sprintf(`href="%s/deliveries/%d"`, path, id) }

	// By state, and by page.
	viewer.get(path+"?state=FAILED").want(t, http.StatusOK, at(old), at(failed), "!"+at(done), "!>Waiting</span>", ">502 ·", "1,234 ms", "no response", "!/replay")
	viewer.get(path+"?state=DELIVERED").want(t, http.StatusOK, at(done), "!"+at(failed), ">204 ·", usersPath(s.dev)+"/ann")
	first := viewer.get(path)
	if n := strings.Count(first.body, path+"/deliveries/"); n != deliveriesPerPage {
		t.Errorf("%d deliveries on the first page", n)
	}
	rest := ""
	for _, link := range first.links() {
		if strings.Contains(link, "after=") {
			rest = link
		}
	}
	viewer.get(rest).want(t, http.StatusOK, at(old), at(failed), at(done), `href="`+path+`">`, "!rel=\"next\"")
	viewer.get(fmt.Sprintf("%s/deliveries/%d", path, old)).want(t, http.StatusOK, "502", "a &lt;b&gt;bad&lt;/b&gt; gateway", "1,234 ms", "!<div hidden data-poll")

	// The list and the overview.
	viewer.get(webhooksPath(s.dev)).want(t, http.StatusOK, path+`?state=PENDING">20<`, path+`?state=FAILED">2<`)
	viewer.get(overviewPath(s.dev)).want(t, http.StatusOK, "Webhook dead letters</span> <strong>2</strong>", `href="`+webhooksPath(s.dev)+`"`, "!disabled automatically")
	viewer.get(path).want(t, http.StatusOK, "next attempt", "!2026-11-20 10:05 UTC")
	s.changeEndpoint(e, map[string]any{"failing_since": models.TimeOf(s.clock()), "resume_at": models.TimeOf(s.clock().Add(5 * time.Minute))})
	viewer.get(webhooksPath(s.dev)).want(t, http.StatusOK, "All attempts have failed since", "2026-11-20 10:00 UTC")
	if n := strings.Count(viewer.get(path).body, "2026-11-20 10:05 UTC</time>"); n != 1+deliveriesPerPage {
		t.Errorf("the end of the pause is %d times on the page", n)
	}
	for reason, says := range map[string]string{"failing": "failed for five days", "gone": "410 (Gone)"} {
		s.changeEndpoint(e, map[string]any{"state": models.EndpointDisabled, "state_reason": reason})
		viewer.get(webhooksPath(s.dev)).want(t, http.StatusOK, says, ">Disabled<")
		viewer.get(path).want(t, http.StatusOK, says)
		viewer.get(overviewPath(s.dev)+"/now").want(t, http.StatusOK, "1 endpoint disabled automatically")
	}
	s.changeEndpoint(e, map[string]any{"state": models.EndpointEnabled, "state_reason": ""})

	// Replay those of the last hour, and then one that was delivered.
	admin.get(path).want(t, http.StatusOK, path+"/replay")
	admin.post(path+"/replay", url.Values{"since": {"60"}}).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "Deliveries that are sent again: 1.")
	if d, kept := s.delivery(failed), s.delivery(old); d.State != models.DeliveryPending || d.Attempts != 0 || kept.State != models.DeliveryFailed {
		t.Errorf("replayed %+v, kept %+v", d, kept)
	}
	admin.post(path+"/replay", url.Values{"since": {"own"}, "amount": {"1"}, "unit": {"minutes"}}).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "No delivery of that time has failed.")
	one := fmt.Sprintf("%s/deliveries/%d", path, done)
	admin.post(one+"/replay", nil).wantRedirect(t, one)
	admin.get(one).want(t, http.StatusOK, "The event is being sent again.", "Waiting", ">204 ·")
	viewer.get(one+"/now").want(t, http.StatusOK, `<dl id="delivery-now">`, "Waiting", "!<html")
	viewer.get(fmt.Sprintf("%s/deliveries/%d/now", path, old)).want(t, statusStopPolling, "Dead letter", "!<html")
}

// TestWebhooks_ManyFailed: the pages show bounded counts.
// TestWebhooks_Health: the pages show how the attempts of the last day ended, and 100 % only if all
// succeeded.
func TestWebhooks_Health(t *testing.T) {
	s := onSQLite(t)
	viewer := s.as("viewer")
	e := s.addEndpoint(s.dev, "https://app.example/hooks")
	path := endpointPath(s.dev, e.ID)
	viewer.get(path).want(t, http.StatusOK, "No attempts", "!class=\"health\"")
	hour := func(ago time.Duration, succeeded, failed int64) {
		begins := models.TimeOf(s.clock().Add(-ago).Truncate(time.Hour))
		s.check(s.db.Exec(t.Context(), "INSERT INTO webhook_hours (endpoint_id, begins_at, succeeded, failed) VALUES (?, ?, ?, ?)",
			e.ID, begins, succeeded, failed))
	}
	hour(3*time.Hour, 19_998, 0)
	viewer.get(path).want(t, http.StatusOK, "100% of 19,998 attempts", `<rect class="good" x="160"`)
	hour(2*time.Hour, 0, 1)
	hour(0, 1, 1)
	viewer.get(path).want(t, http.StatusOK, "99.9% of 20,001 attempts", `<rect class="bad" x="168"`, `<rect class="none" x="176"`, `<rect class="some" x="184"`)
	viewer.get(webhooksPath(s.dev)).want(t, http.StatusOK, ">99.9%<")
}

func TestWebhooks_ManyFailed(t *testing.T) {
	s := onSQLite(t)
	e := s.addEndpoint(s.dev, "https://app.example/hooks")
	event := s.delivery(s.addDelivery(e, models.Delivery{State: models.DeliveryFailed})).EventID
	s.check(s.db.Exec(t.Context(), fmt.Sprintf(`INSERT INTO deliveries (endpoint_id, event_id, state, next_attempt_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT %d, %d, 'FAILED', %d + i FROM n`, e.ID, event, models.TimeOf(s.clock()))))
	admin := s.as("admin")
	path := endpointPath(s.dev, e.ID)
	for _, page := range []string{webhooksPath(s.dev), path, path + "/delete", overviewPath(s.dev)} {
		admin.get(page).want(t, http.StatusOK, "1,000&#43;", "!1,001", "!1,501")
	}
	admin.post(path+"/replay", url.Values{"since": {"60"}}).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "Deliveries that are sent again: 1,000. There may be more; send again.")
}
