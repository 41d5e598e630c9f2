package node

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/appconnections"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/figures"
	"rollcall/internal/headcount"
	"rollcall/internal/jobs"
	"rollcall/internal/operators"
	"rollcall/internal/outbox"
	"rollcall/internal/presence"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/retention"
	"rollcall/internal/sealed"
	"rollcall/internal/subscriptions"
	"rollcall/internal/throttle"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/internal/vitals"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// Rules are the rules of the service on one database.
type Rules struct {
	Apps          *apps.Service
	Audit         *audit.Log
	Operators     *operators.Service
	Relations     *relations.Service
	Presence      *presence.Hub
	Subscriptions *subscriptions.Service
	Users         *users.Service
	Connections   *appconnections.Service
	Figures       *figures.Recorder
	Jobs          *jobs.Service
	Webhooks      *webhooks.Service
	// PresenceEvents records the changes of Presence for webhooks.
	PresenceEvents *outbox.Presence
}

// Offline returns the rules for a command that changes the database by itself, beside a server or
// without one. They send nothing to other nodes, and can neither issue tokens nor return cursors.
// Presence must not be used.
func Offline(db *database.DB, clock func() time.Time) Rules {
	return offline(Config{DB: db, Clock: clock})
}

// OfflineWebhooks returns the rules for webhooks for such a command; tokenKey and allowPrivate are
// Config.TokenKey and Config.WebhookAllowPrivate.
func OfflineWebhooks(db *database.DB, clock func() time.Time, tokenKey string, allowPrivate bool) *webhooks.Service {
	return offline(Config{DB: db, Clock: clock, TokenKey: tokenKey, WebhookAllowPrivate: allowPrivate}).Webhooks
}

func offline(cfg Config) Rules {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return newRules(&cfg, new(token.Keys), new(bus.Bus), nil)
}

// newRules makes the rules, which meet on events. If metrics is nil, their metrics are not
// registered.
func newRules(cfg *Config, keys *token.Keys, events *bus.Bus, metrics prometheus.Registerer) (r Rules) {
	failures := throttle.New(cfg.Clock)
	if cfg.Redis != nil {
		failures = throttle.NewShared(cfg.Redis, cfg.Clock, cfg.Logger)
	}
	r.Apps = apps.New(cfg.DB, events, keys, cfg.Clock).Limiting(failures).Renewing(webhooks.RenewSecrets, operators.RenewSecrets)
	r.Audit = audit.New(cfg.DB, cfg.Clock)
	r.Operators = operators.New(cfg.DB, cfg.Clock).Encrypting(cfg.TokenKey).Requiring(cfg.SecondFactor).SigningOn(cfg.SSO).
		Limiting(failures, cmp.Or(cfg.LoginFailureTime, operators.FailureTime))
	r.Relations = relations.New(cfg.DB, events, keys.Secret(), cfg.Clock)
	if metrics != nil {
		r.Relations.Observe(metrics)
	}
	interests := circles.Interests{Friends: relations.Friends, Subscriptions: subscriptions.Lists}
	r.PresenceEvents = outbox.NewPresence(cfg.DB, cfg.Clock, cfg.Logger, func(ctx context.Context) {
		events.PublishEventsRecorded(ctx, true)
	})
	r.Presence = presence.New(cfg.DB, events, interests, presence.Options{
		Clock:        cfg.Clock,
		Logger:       cfg.Logger,
		Metrics:      metrics,
		Redis:        cfg.Redis,
		RevokedSince: r.Audit.RevokedSince,
		Observer:     presenceEvents{r.PresenceEvents},
		Node:         appconnections.NodeName(),
	})
	r.Subscriptions = subscriptions.New(cfg.DB, events, r.Presence, subscriptions.Options{
		Clock:  cfg.Clock,
		Linger: cfg.SubscriptionLinger,
		Logger: cfg.Logger,
		Redis:  cfg.Redis,
		Secret: keys.Secret(),
	})
	r.Users = users.New(cfg.DB, events, keys, users.Erasers{r.Relations, r.Subscriptions}, users.Options{Clock: cfg.Clock, Logger: cfg.Logger})
	if metrics != nil {
		r.Users.Observe(metrics)
	}
	r.Connections = appconnections.New(cfg.DB, events, cfg.Clock)
	r.Figures = figures.New(cfg.DB, figures.Sources{
		Online: r.Presence.OnlineCount, Bans: r.Users.BansSince, Decided: decisionFigures(r.Relations),
	}, cfg.Clock, cfg.Logger)
	r.Jobs = jobs.New(cfg.DB, cfg.Logger, cfg.Clock)
	r.Webhooks = webhooks.New(cfg.DB, events, webhooks.Options{
		Clock: cfg.Clock, Logger: cfg.Logger, Version: cfg.Version, AllowPrivate: cfg.WebhookAllowPrivate,
		TokenKey: cfg.TokenKey,
		Secret:   keys.Secret(),
	})
	if metrics != nil {
		r.Webhooks.Observe(metrics)
		r.Jobs.Observe(metrics)
		r.Audit.Observe(metrics)
	}
	r.Apps = r.Apps.Deleting(r.Users.DeleteOfApp, r.Operators.ForgetApp, func(ctx context.Context, app *models.App) (int, error) {
		return retention.DeleteOfApp(ctx, cfg.DB, app.ID, ofApp()...)
	})
	return r
}

// ofApp returns the rows that are deleted with an app, besides those of its users.
func ofApp() []retention.AppRows {
	return slices.Concat(webhooks.OfApp(), jobs.OfApp(), figures.OfApp(), appconnections.OfApp(), headcount.OfApp())
}

// decisionFigures returns the source of the figures that count decisions whether a message may be
// sent.
func decisionFigures(s *relations.Service) func(add func(appID int64, figure figures.Figure, total int64)) {
	byReason := map[relations.DenialReason]figures.Figure{"": figures.Allowed}
	for _, reason := range relations.DenialReasons {
		byReason[reason] = figures.ByReason(string(reason))
	}
	return func(add func(int64, figures.Figure, int64)) {
		s.Decided(func(appID int64, reason relations.DenialReason, total int64) { add(appID, byReason[reason], total) })
	}
}

// presenceEvents makes events of the changes of statuses.
type presenceEvents struct{ *outbox.Presence }

// Changed records a change; see status.Observer.
func (p presenceEvents) Changed(r *status.Record) { p.Note(r.AppID, r.ID, r.Status()) }

// expiring returns the rows that are deleted when they are old.
func expiring(log *audit.Log, auditRetention time.Duration) []retention.Rule {
	return slices.Concat(relations.Expiring(), jobs.Expiring(), operators.Expiring(), log.Expiring(auditRetention), webhooks.Expiring(), sealed.Expiring(), vitals.Expiring())
}
