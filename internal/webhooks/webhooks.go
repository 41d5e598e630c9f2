// Package webhooks delivers the events of apps to the endpoints of their App Servers: signed, at
// least once, and from any node.
//
// internal/outbox has recorded the events and their recipients in the transactions of the changes. Run
// makes their deliveries and sends them. A node that sends to an endpoint has its lease, so that no two nodes send to the
// same endpoint at the same time, and one slow endpoint holds up no other; see claim. It sends one
// batch, writes its results and ends the lease. If the node dies, the lease ends by itself, and
// another node sends the batch again.
//
// The events of one user are sent in the order of their versions, one after the other, unless a
// retry intervenes. Those of different users are sent concurrently.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/opaque"
	"rollcall/internal/outbox"
	"rollcall/internal/showonce"
	"rollcall/internal/token"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Options are what a Service is made of, besides the database.
type Options struct {
	// Clock is time.Now except in tests.
	Clock  func() time.Time
	Logger *slog.Logger
	// Version is the release, for User-Agent.
	Version string
	// AllowPrivate allows http URLs, and addresses that are not public.
	AllowPrivate bool
	// TokenKey has the configured keys that sign tokens; see token.CheckConfigured.
	TokenKey string
	// AwaitFresh replaces outbox.AwaitFresh in tests.
	AwaitFresh func(context.Context) error
	// Secret encrypts the IDs and cursors that App Servers see.
	Secret opaque.Secret
}

// Service implements the rules for endpoints and deliveries.
type Service struct {
	db         *database.DB
	opts       Options
	vault      *token.Vault
	client     *http.Client
	timing     timing
	wake       chan struct{}
	awaitFresh func(context.Context) error
	// fresh is freshApps.
	fresh *database.Query

	showing func(e *models.WebhookEndpoint, secret string) error
	metrics *metrics
}

// New returns a Service. Run must be called for events to be sent.
func New(db *database.DB, b *bus.Bus, opts Options) *Service {
	s := &Service{
		db: db, opts: opts, vault: token.NewVault(db, opts.TokenKey), client: newClient(opts.AllowPrivate), timing: usualTiming,
		wake: make(chan struct{}, 1), awaitFresh: outbox.AwaitFresh, metrics: newMetrics(),
		fresh: freshApps(db),
	}
	if opts.AwaitFresh != nil {
		s.awaitFresh = opts.AwaitFresh
	}
	b.OnEventsRecorded(func(context.Context, bus.EventsRecorded) { s.notify() })
	return s
}

// notify makes Run look for deliveries now.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) now() models.Time { return models.TimeOf(s.opts.Clock()) }

// Showing returns a Service whose new secrets are shown by show before they are committed. If show
// fails, nothing is changed.
func (s *Service) Showing(show func(e *models.WebhookEndpoint, secret string) error) *Service {
	out := *s
	out.showing = show
	return &out
}

// NewEndpoint is what an endpoint is created with.
type NewEndpoint struct {
	// URL must be https, unless Options.AllowPrivate is set.
	URL         string `json:"url" validate:"required,maxbytes=1024,http_url"`
	Description string `json:"description" validate:"max=128,nocontrol,nobidi"`
	// Types are the types of events that it receives. If there are none, it receives all except
	// outbox.PresenceChanged.
	Types []outbox.Type `json:"eventTypes"`
	// Format is models.FormatRollcall, also if it is empty.
	Format models.EndpointFormat `json:"format"`
}

// Validate returns INVALID_ARGUMENT if a value violates its rule. It checks neither the types nor the
// scheme of the URL.
func (in NewEndpoint) Validate() error { return validate.Input(in) }

// Check returns INVALID_ARGUMENT for each value that violates its rule, as Create does.
func (s *Service) Check(in NewEndpoint) error {
	return errors.Join(in.Validate(), s.checkURL(in.URL), checkFormat(in.Format), checkTypes(in.Types))
}

// checkFormat returns INVALID_ARGUMENT unless endpoints can have the format.
func checkFormat(format models.EndpointFormat) error {
	if format != "" && format != models.FormatRollcall {
		return fault.Invalid("format", "oneof", "format must be %s, the only one that there is", models.FormatRollcall)
	}
	return nil
}

// checkURL returns INVALID_ARGUMENT unless the URL has a scheme that endpoints may have.
func (s *Service) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && !s.opts.AllowPrivate {
		return fault.Invalid("url", "https", "url must begin with https://, unless the server has ROLLCALL_WEBHOOK_ALLOW_PRIVATE=true")
	}
	return nil
}

// checkTypes returns INVALID_ARGUMENT unless endpoints can choose all of the types.
func checkTypes(types []outbox.Type) error {
	for i, t := range types {
		if !outbox.IsType(t) {
			return fault.Invalid(fmt.Sprintf("eventTypes.%d", i), "oneof", "there are no events of the type %q", t)
		}
	}
	return nil
}

// joinTypes returns the types as models.WebhookEndpoint has them.
func joinTypes(types []outbox.Type) string {
	var list []string
	for _, t := range types {
		if !slices.Contains(list, string(t)) {
			list = append(list, string(t))
		}
	}
	return strings.Join(list, ",")
}

// ErrNoEndpoint is returned if the app has no endpoint with the ID.
var ErrNoEndpoint error = fault.New(fault.WebhookNotFound, "there is no such webhook endpoint")

// Create creates an endpoint of the app and returns its secret, which nothing else returns. It
// returns after a wait of outbox.Freshness: all changes that begin later are recorded for the
// endpoint. Returns INVALID_ARGUMENT for a value, and WEBHOOK_LIMIT_REACHED with `limit` if the app has
// outbox.MaxEndpoints.
func (s *Service) Create(ctx context.Context, app *models.App, in NewEndpoint, by models.Actor) (*models.WebhookEndpoint, string, error) {
	if err := s.Check(in); err != nil {
		return nil, "", err
	}
	secret := newSecret()
	show := s.showOnce(secret)
	var out *models.WebhookEndpoint
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		ring, err := s.vault.Lock(tx, s.now())
		if err != nil {
			return err
		}
		if err := checkRoom(tx, app); err != nil {
			return err
		}
		out = &models.WebhookEndpoint{
			AppID: app.ID, URL: in.URL, Description: in.Description, EventTypes: joinTypes(in.Types),
			Secret: []byte{}, State: models.EndpointEnabled, CreatedAt: s.now(),
			Format: models.FormatRollcall,
		}
		if err := tx.Create(out).Error; err != nil {
			return err
		}
		// The encryption is bound to the key, which only the row knows.
		if out.Secret, err = ring.Seal(secret, place(out.ID)); err != nil {
			return err
		}
		if err := tx.Model(out).Update("secret", out.Secret).Error; err != nil {
			return err
		}
		if err := s.audit(tx, app.ID, audit.ActionWebhookCreate, out, by); err != nil {
			return err
		}
		return show.now(out)
	})
	if err != nil {
		return nil, "", show.explain(fault.Wrap(err, "creating webhook endpoint"))
	}
	return out, secretText(secret), s.awaitFresh(ctx)
}

// checkRoom returns WEBHOOK_LIMIT_REACHED if the app has no room for another endpoint. It locks the app's
// row, so that two endpoints cannot take the same room.
func checkRoom(tx *gorm.DB, app *models.App) error {
	if err := tx.Clauses(forUpdate).Select("id").Take(&models.App{}, app.ID).Error; err != nil {
		return err
	}
	var n int64
	err := tx.Model(&models.WebhookEndpoint{}).Where("app_id = ? AND state <> ?", app.ID, models.EndpointDeleted).Count(&n).Error
	if err == nil && n >= outbox.MaxEndpoints {
		err = fault.New(fault.WebhookLimitReached, "the app already has the maximum of %d webhook endpoints", outbox.MaxEndpoints).
			With("limit", outbox.MaxEndpoints)
	}
	return err
}

// List returns the app's endpoints, the oldest first, without those that are deleted.
func (s *Service) List(ctx context.Context, app *models.App) ([]*models.WebhookEndpoint, error) {
	var list []*models.WebhookEndpoint
	err := s.db.Read(ctx).Where("app_id = ? AND state <> ?", app.ID, models.EndpointDeleted).Order("id").Find(&list).Error
	return list, fault.Wrap(err, "listing webhook endpoints")
}

// Delete deletes an endpoint. What has not been delivered to it is not delivered any more. Returns
// ErrNoEndpoint.
func (s *Service) Delete(ctx context.Context, app *models.App, id int64, by models.Actor) (*models.WebhookEndpoint, error) {
	return s.change(ctx, app, id, audit.ActionWebhookDelete, by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		// The row stays until its deliveries are deleted; see removeDeleted.
		return tx.Model(e).Updates(map[string]any{
			"state": models.EndpointDeleted, "state_reason": "", "secret": []byte{}, "previous_secret": nil, "resume_at": s.now(),
		}).Error
	})
}

// MaxGrace is the longest time for which a secret signs after a rotation.
const MaxGrace = 30 * 24 * time.Hour

// RotateSecret gives an endpoint a new secret and returns it. For the duration grace, deliveries are
// signed with the present one too; one that an earlier rotation left ends at once. Returns
// ErrNoEndpoint, and INVALID_ARGUMENT for a grace that is negative or longer than MaxGrace, or if the
// present secret cannot be decrypted and the grace is not 0.
func (s *Service) RotateSecret(ctx context.Context, app *models.App, id int64, grace time.Duration, by models.Actor) (*models.WebhookEndpoint, string, error) {
	if err := validate.Value("grace", grace, "min=0s,max=720h"); err != nil {
		return nil, "", err
	}
	secret := newSecret()
	show := s.showOnce(secret)
	var ring *token.Ring
	lock := func(tx *gorm.DB) (err error) {
		ring, err = s.vault.Lock(tx, s.now())
		return err
	}
	out, err := s.changeAfter(ctx, lock, app, id, audit.ActionWebhookRotateSecret, by, func(tx *gorm.DB, e *models.WebhookEndpoint) error {
		e.PreviousSecret, e.PreviousSecretEndsAt = nil, 0
		if grace > 0 {
			if _, err := ring.Open(e.Secret, place(e.ID)); err != nil {
				return fault.Invalid("grace", "decrypted", "%s; with a grace of 0 the present secret is not needed", err)
			}
			e.PreviousSecret, e.PreviousSecretEndsAt = e.Secret, s.now().Add(grace)
		}
		var err error
		if e.Secret, err = ring.Seal(secret, place(e.ID)); err != nil {
			return err
		}
		err = tx.Model(e).Select("secret", "previous_secret", "previous_secret_ends_at").Updates(e).Error
		if err != nil {
			return err
		}
		return show.now(e)
	})
	if err != nil {
		return nil, "", show.explain(err)
	}
	return out, secretText(secret), nil
}

// change runs fn with a locked endpoint of the app and records it in the audit. If action is "", fn
// records it.
func (s *Service) change(ctx context.Context, app *models.App, id int64, action string, by models.Actor, fn func(tx *gorm.DB, e *models.WebhookEndpoint) error) (*models.WebhookEndpoint, error) {
	return s.changeAfter(ctx, func(*gorm.DB) error { return nil }, app, id, action, by, fn)
}

// changeAfter is change that first calls lock, for locks that must come before that of the endpoint.
func (s *Service) changeAfter(ctx context.Context, lock func(tx *gorm.DB) error, app *models.App, id int64, action string, by models.Actor, fn func(tx *gorm.DB, e *models.WebhookEndpoint) error) (*models.WebhookEndpoint, error) {
	var out *models.WebhookEndpoint
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		err := lock(tx)
		if err != nil {
			return err
		}
		if out, err = lockEndpoint(tx, app, id); err != nil {
			return err
		}
		if action != "" {
			if err := s.audit(tx, app.ID, action, out, by); err != nil {
				return err
			}
		}
		return fn(tx, out)
	})
	if err != nil {
		return nil, fault.Wrap(err, "changing webhook endpoint")
	}
	return out, nil
}

// lockEndpoint returns an endpoint of the app, locked. Returns ErrNoEndpoint.
func lockEndpoint(tx *gorm.DB, app *models.App, id int64) (*models.WebhookEndpoint, error) {
	e := &models.WebhookEndpoint{}
	err := tx.Clauses(forUpdate).Where("app_id = ? AND id = ? AND state <> ?", app.ID, id, models.EndpointDeleted).Take(e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrNoEndpoint
	}
	return e, err
}

// audit records a change of an endpoint. Its URL may contain a secret, so the entry has only its ID.
func (s *Service) audit(tx *gorm.DB, appID int64, action string, e *models.WebhookEndpoint, by models.Actor) error {
	detail := ""
	if e.StateReason != "" {
		detail = "reason=" + e.StateReason
	}
	return s.auditDetail(tx, appID, action, e, detail, by)
}

// auditDetail is audit with a detail.
func (s *Service) auditDetail(tx *gorm.DB, appID int64, action string, e *models.WebhookEndpoint, detail string, by models.Actor) error {
	return audit.Write(tx, models.AuditEntry{
		AppID: &appID, At: s.now(), Actor: by.Name, Action: action, Target: fmt.Sprint(e.ID), Detail: detail, Address: by.Address,
	})
}

// once shows a new secret in the transaction that stores it.
type once struct {
	showonce.Showing
	endpoint *models.WebhookEndpoint
}

func (s *Service) showOnce(secret []byte) *once {
	o := &once{}
	if s.showing != nil {
		o.Show = func() error { return s.showing(o.endpoint, secretText(secret)) }
	}
	return o
}

func (o *once) now(e *models.WebhookEndpoint) error {
	o.endpoint = e
	return o.Now()
}

func (o *once) explain(err error) error { return o.Explain(err) }
