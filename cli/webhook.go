package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/webhooks"
	"rollcall/models"
	"rollcall/node"
)

// webhookSetting says which addresses endpoints may have.
type webhookSetting struct {
	WebhookAllowPrivate bool `env:"ROLLCALL_WEBHOOK_ALLOW_PRIVATE" help:"Allow webhook endpoints with http URLs, and with loopback, private and other addresses that are not public (${env})."`
}

type webhookCommand struct {
	Create       webhookCreate       `cmd:"" help:"Create an endpoint and print its ID and, once, its secret."`
	List         webhookList         `cmd:"" help:"List an app's endpoints."`
	Test         webhookTest         `cmd:"" help:"Send a test event to an endpoint, and print the result."`
	Deliveries   webhookDeliveries   `cmd:"" help:"List deliveries to an endpoint, the newest first."`
	Replay       webhookReplay       `cmd:"" help:"Send deliveries again: those with the given IDs, or those that failed."`
	RotateSecret webhookRotateSecret `cmd:"" help:"Give an endpoint a new secret; for a time, both sign."`
	Enable       webhookEnable       `cmd:"" help:"Enable an endpoint that was disabled because it failed."`
	Delete       webhookDelete       `cmd:"" help:"Delete an endpoint; nothing more is delivered to it."`
}

// webhookSettings are those of a server that a command about endpoints needs: how to encrypt secrets,
// and which addresses are allowed.
type webhookSettings struct {
	tokenKeySetting
	webhookSetting
}

// withWebhooks runs fn with the rules for webhooks and the app with that key.
func (s *settings) withWebhooks(ctx context.Context, key string, of webhookSettings, fn func(*webhooks.Service, *models.App) error) error {
	if err := of.tokenKeySetting.check(); err != nil {
		return err
	}
	return s.withDB(ctx, func(db *database.DB) error {
		app, err := node.Offline(db, clock).Apps.ByKey(ctx, key)
		if err != nil {
			return err
		}
		if app == nil {
			return unknownApp(key)
		}
		err = fn(node.OfflineWebhooks(db, clock, of.TokenKey, of.WebhookAllowPrivate), app)
		if errors.Is(err, webhooks.ErrNoEndpoint) {
			return usageError{fmt.Errorf("the app has no endpoint with that ID; see rollcall webhook list %s", key)}
		}
		return err
	})
}

// endpointArgs names an endpoint.
type endpointArgs struct {
	App string `arg:"" help:"The app key."`
	ID  int64  `arg:"" help:"The endpoint's ID; see webhook list."`
}

// endpointJSON is an endpoint as --json prints it.
type endpointJSON struct {
	ID          int64                `json:"id"`
	URL         string               `json:"url"`
	Description string               `json:"description"`
	State       models.EndpointState `json:"state"`
	StateReason string               `json:"stateReason,omitempty"`
	// EventTypes is empty for all except presence.changed.
	EventTypes []outbox.Type         `json:"eventTypes"`
	Format     models.EndpointFormat `json:"format"`
	// FailingSince is null if the last attempts have succeeded.
	FailingSince *string `json:"failingSince"`
	CreatedAt    string  `json:"createdAt"`
	Secret       string  `json:"secret,omitempty"`
}

func endpointOf(e *models.WebhookEndpoint, secret string) endpointJSON {
	out := endpointJSON{
		ID: e.ID, URL: e.URL, Description: e.Description, State: e.State, StateReason: e.StateReason,
		EventTypes: append([]outbox.Type{}, outbox.ParseTypes(e.EventTypes)...), Format: e.Format, CreatedAt: e.CreatedAt.String(), Secret: secret,
	}
	if e.FailingSince != 0 {
		text := e.FailingSince.String()
		out.FailingSince = &text
	}
	return out
}

type webhookCreate struct {
	webhookSettings
	App         string   `arg:"" help:"The app key."`
	URL         string   `arg:"" help:"The https URL that receives the events."`
	Events      []string `help:"The types of events, separated by commas, such as user.banned,friend.added; all except presence.changed unless given."`
	Format      string   `default:"rollcall" help:"How requests are written and signed; only rollcall, as in docs/webhooks.md."`
	Description string   `help:"A note of at most 128 characters."`
	JSON        bool     `help:"Print one JSON object."`
}

// Run creates the endpoint and prints its secret.
func (c webhookCreate) Run(ctx context.Context, s *settings, streams *Streams) error {
	in := webhooks.NewEndpoint{URL: c.URL, Description: c.Description, Format: models.EndpointFormat(c.Format)}
	for _, t := range c.Events {
		in.Types = append(in.Types, outbox.Type(strings.TrimSpace(t)))
	}
	return s.withWebhooks(ctx, c.App, c.webhookSettings, func(rules *webhooks.Service, app *models.App) error {
		_, _, err := rules.Showing(secretPrinter(streams, c.JSON)).Create(ctx, app, in, audit.CommandLine)
		return err
	})
}

// secretPrinter returns a function that prints an endpoint with its new secret.
func secretPrinter(streams *Streams, asJSON bool) func(e *models.WebhookEndpoint, secret string) error {
	return func(e *models.WebhookEndpoint, secret string) error {
		if asJSON {
			return printJSON(streams.Out, endpointOf(e, secret))
		}
		until := ""
		if e.PreviousSecretEndsAt != 0 {
			until = fmt.Sprintf("deliveries are also signed with the previous secret until %s\n", e.PreviousSecretEndsAt)
		}
		return printText(streams.Out, "endpoint  %d\nurl       %s\nsecret    %s   (shown only now)\n%s", e.ID, e.URL, secret, until)
	}
}

type webhookList struct {
	App  string `arg:"" help:"The app key."`
	JSON bool   `help:"Print one JSON array."`
}

// Run lists the endpoints.
func (c webhookList) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		list, err := rules.List(ctx, app)
		if err != nil {
			return err
		}
		if c.JSON {
			out := make([]endpointJSON, len(list))
			for i, e := range list {
				out[i] = endpointOf(e, "")
			}
			return printJSON(streams.Out, out)
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTATE\tFAILING SINCE\tEVENTS\tURL\tDESCRIPTION")
		for _, e := range list {
			state, failing, types := string(e.State), "-", e.EventTypes
			if e.StateReason != "" {
				state += " (" + e.StateReason + ")"
			}
			if e.FailingSince != 0 {
				failing = e.FailingSince.String()
			}
			if types == "" {
				types = "all"
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", e.ID, state, failing, types, e.URL, e.Description)
		}
		return table.Flush()
	})
}

type webhookTest struct {
	endpointArgs
	Wait time.Duration `default:"20s" help:"How long to wait for a running server to send the event."`
}

// testPoll is how often a test looks for its result.
const testPoll = 100 * time.Millisecond

// Run sends a test event and waits for the first attempt.
func (c webhookTest) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		test, err := rules.Test(ctx, app, c.ID, audit.CommandLine)
		if err != nil {
			return err
		}
		d := &test.Delivery
		waiting, cancel := context.WithTimeout(ctx, c.Wait)
		defer cancel()
		for d != nil && d.Attempts == 0 && d.State == models.DeliveryPending {
			select {
			case <-waiting.Done():
				return fmt.Errorf("the test event was not sent within %s; is a server running, or is the endpoint failing? It stays in the queue", c.Wait)
			case <-time.After(testPoll):
			}
			if d, err = rules.ByID(ctx, c.ID, d.ID); err != nil {
				return err
			}
		}
		if d == nil {
			return errors.New("the endpoint was deleted")
		}
		if d.State == models.DeliveryDelivered {
			return printText(streams.Out, "delivered: status %d after %d ms\n", d.LastStatus, d.LastMs)
		}
		return fmt.Errorf("not delivered: %s", problemOf(d))
	})
}

// problemOf describes the last attempt of a delivery that has failed.
func problemOf(d *models.Delivery) string {
	text := ""
	if d.LastError != nil {
		text = *d.LastError
	}
	if d.LastStatus == 0 {
		return text
	}
	return strings.TrimSpace(fmt.Sprintf("status %d %s", d.LastStatus, text))
}

type webhookDeliveries struct {
	endpointArgs
	State string `default:"" help:"Only those in this state: pending, delivered or failed."`
	Limit int    `default:"50" help:"How many, at most 1000."`
	JSON  bool   `help:"Print one JSON array."`
}

// deliveryJSON is a delivery as --json prints it.
type deliveryJSON struct {
	ID         int64                `json:"id"`
	EventID    string               `json:"eventId"`
	Type       string               `json:"type"`
	UserID     string               `json:"userId,omitempty"`
	OccurredAt string               `json:"occurredAt"`
	State      models.DeliveryState `json:"state"`
	Attempts   int                  `json:"attempts"`
	// NextAttemptAt is null if there is no further attempt.
	NextAttemptAt *string `json:"nextAttemptAt"`
	// LastStatus is 0 if there was no response.
	LastStatus int     `json:"lastStatus"`
	LastError  *string `json:"lastError"`
	LastMs     int     `json:"lastMs"`
}

// Run lists the deliveries.
func (c webhookDeliveries) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		list, err := rules.Deliveries(ctx, app, webhooks.Filter{
			EndpointID: c.ID, State: models.DeliveryState(strings.ToUpper(c.State)), Limit: c.Limit,
		})
		if err != nil {
			return err
		}
		out := make([]deliveryJSON, len(list))
		for i, d := range list {
			out[i] = deliveryJSON{
				ID: d.ID, EventID: d.UID, Type: d.Type, UserID: d.Subject, OccurredAt: d.OccurredAt.String(), State: d.State,
				Attempts: d.Attempts, LastStatus: d.LastStatus, LastError: d.LastError, LastMs: d.LastMs,
			}
			if d.State == models.DeliveryPending {
				next := d.NextAttemptAt.String()
				out[i].NextAttemptAt = &next
			}
		}
		if c.JSON {
			return printJSON(streams.Out, out)
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tTIME\tTYPE\tUSER\tSTATE\tATTEMPTS\tNEXT\tMS\tLAST")
		for i, d := range out {
			next := "-"
			if d.NextAttemptAt != nil {
				next = *d.NextAttemptAt
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n",
				d.ID, d.OccurredAt, d.Type, d.UserID, d.State, d.Attempts, next, d.LastMs, problemOf(&list[i].Delivery))
		}
		return table.Flush()
	})
}

type webhookReplay struct {
	endpointArgs
	Deliveries []string      `arg:"" optional:"" help:"The IDs of the deliveries; without any, those that failed."`
	Since      time.Duration `default:"720h" help:"Without IDs, only those whose event is not older."`
	State      string        `default:"failed" help:"Without IDs, only those in this state: failed, delivered or pending."`
}

// Run replays the deliveries.
func (c webhookReplay) Run(ctx context.Context, s *settings, streams *Streams) error {
	var ids []int64
	for _, text := range c.Deliveries {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%q is not the ID of a delivery", text)}
		}
		ids = append(ids, id)
	}
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		n, err := rules.Replay(ctx, app, ids, webhooks.Filter{
			EndpointID: c.ID, State: models.DeliveryState(strings.ToUpper(c.State)),
			Since: models.TimeOf(clock().Add(-c.Since)), Limit: webhooks.MaxDeliveries,
		}, audit.CommandLine)
		if err != nil {
			return err
		}
		more := ""
		if len(ids) == 0 && n == webhooks.MaxDeliveries {
			more = "; there may be more, replay again"
		}
		return printText(streams.Out, "%d deliveries are sent again by a running server%s\n", n, more)
	})
}

type webhookRotateSecret struct {
	tokenKeySetting
	endpointArgs
	Grace time.Duration `default:"24h" help:"How long the present secret signs beside the new one, at most 720h; 0s: it ends at once."`
	JSON  bool          `help:"Print one JSON object."`
}

// Run rotates the secret and prints the new one.
func (c webhookRotateSecret) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{tokenKeySetting: c.tokenKeySetting}, func(rules *webhooks.Service, app *models.App) error {
		_, _, err := rules.Showing(secretPrinter(streams, c.JSON)).RotateSecret(ctx, app, c.ID, c.Grace, audit.CommandLine)
		return err
	})
}

type webhookEnable struct{ endpointArgs }

// Run enables the endpoint.
func (c webhookEnable) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		if _, err := rules.Enable(ctx, app, c.ID, audit.CommandLine); err != nil {
			return err
		}
		return printText(streams.Out, "endpoint %d is enabled\n", c.ID)
	})
}

type webhookDelete struct{ endpointArgs }

// Run deletes the endpoint.
func (c webhookDelete) Run(ctx context.Context, s *settings, streams *Streams) error {
	return s.withWebhooks(ctx, c.App, webhookSettings{}, func(rules *webhooks.Service, app *models.App) error {
		if _, err := rules.Delete(ctx, app, c.ID, audit.CommandLine); err != nil {
			return err
		}
		return printText(streams.Out, "endpoint %d is deleted\n", c.ID)
	})
}
