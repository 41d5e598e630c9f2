// Package apps holds the rules about apps (the tenants), their settings and secrets, and the keys
// that sign tokens.
package apps

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/clientaddr"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/page"
	"rollcall/internal/showonce"
	"rollcall/internal/throttle"
	"rollcall/internal/token"
	"rollcall/internal/validate"
	"rollcall/models"
)

// DefaultTokenTTL is the lifetime of an app token whose caller gives none.
const DefaultTokenTTL = 24 * time.Hour

// DefaultUserLimit bounds a new PRODUCTION app in edition STANDARD.
const DefaultUserLimit = 10_000

// Service applies the rules about apps.
type Service struct {
	db     *database.DB
	bus    *bus.Bus
	keys   *token.Keys
	clock  func() time.Time
	outbox *outbox.Outbox
	// throttle counts wrong keys and secrets.
	throttle *throttle.Throttle
	show     func(app *models.App, secret string) error // see Showing; may be nil
	renew    []func(tx *gorm.DB, ring *token.Ring) error
	// deletions is nil unless s can delete apps; see Deleting.
	deletions *deletions
}

// New returns a Service that publishes changes of apps on b, and counts wrong secrets in this
// process. clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, keys *token.Keys, clock func() time.Time) *Service {
	return &Service{db: db, bus: b, keys: keys, clock: clock, outbox: outbox.New(db), throttle: throttle.New(clock)}
}

// Limiting returns a copy of s that counts wrong secrets in t.
func (s *Service) Limiting(t *throttle.Throttle) *Service {
	limits := *s
	limits.throttle = t
	return &limits
}

// Renewing returns a copy of s that calls renew in each transaction that changes the token keys.
// renew must store the secrets again that are encrypted with them; see token.Ring.Renew.
func (s *Service) Renewing(renew ...func(tx *gorm.DB, ring *token.Ring) error) *Service {
	renews := *s
	renews.renew = renew
	return &renews
}

// Showing returns a copy of s that calls show with each new secret, once, before the
// change that makes it is committed. If show returns an error, nothing is changed.
func (s *Service) Showing(show func(app *models.App, secret string) error) *Service {
	shows := *s
	shows.show = show
	return &shows
}

// showing returns the Showing for a new secret of app, which need not be complete yet.
func (s *Service) showing(app *models.App, secret string) *showonce.Showing {
	if s.show == nil {
		return &showonce.Showing{}
	}
	return &showonce.Showing{Show: func() error { return s.show(app, secret) }}
}

// NewApp describes an app to create.
type NewApp struct {
	// Name must be new among apps.
	Name        string
	Environment models.Environment
	Edition     models.Edition
	// Settings defaults to models.DefaultAppSettings. A setting that the edition lacks is refused.
	Settings *models.AppSettings
}

// Create creates an app and returns it with its secret, which cannot be retrieved again. It returns
// INVALID_ARGUMENT for each field of in that is not valid.
func (s *Service) Create(ctx context.Context, in NewApp, by models.Actor) (*models.App, string, error) {
	err := errors.Join(validate.Name(in.Name), checkEnvironment(in.Environment), checkEdition(in.Edition))
	if err != nil {
		return nil, "", err
	}
	secret, hash := newSecret()
	app := &models.App{
		Key:         newKey(),
		Name:        in.Name,
		Environment: in.Environment,
		Edition:     in.Edition,
		SecretHash:  hash,
		UserLimit:   DefaultUserLimit,
		Settings:    models.DefaultAppSettings(),
		CreatedAt:   models.TimeOf(s.clock()),
	}
	if in.Settings != nil {
		app.Settings = *in.Settings
	}
	if lacking := checkSwitches(app); len(lacking) > 0 {
		return nil, "", lacking[0]
	}
	shown := s.showing(app, secret)
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		app.ID = 0
		if err := tx.Create(app).Error; err != nil {
			return err
		}
		if app.RegisteredUserLimit() == nil {
			if err := headcount.Spread(tx, app.ID); err != nil {
				return err
			}
		}
		err := audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: app.CreatedAt, Actor: by.Name, ActorKey: by.Key, Action: audit.ActionAppCreate, Target: app.Key,
			Detail: fmt.Sprintf("name=%s environment=%s edition=%s", app.Name, app.Environment, app.Edition), Address: by.Address,
		})
		if err != nil {
			return err
		}
		return shown.Now()
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, "", fault.Invalid("name", "unique", "an app named %q already exists", in.Name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("creating app: %w", shown.Explain(err))
	}
	return app, secret, nil
}

// List returns all apps, the oldest first.
func (s *Service) List(ctx context.Context) ([]*models.App, error) {
	var list []*models.App
	if err := s.db.Read(ctx).Order("id").Find(&list).Error; err != nil {
		return nil, fmt.Errorf("listing apps: %w", err)
	}
	return list, nil
}

// Connection is a page of apps, and Edge an app in it.
type (
	Connection = page.Connection[*models.App]
	Edge       = page.Edge[*models.App]
)

// Page returns a page of the apps that the grant is for, newest first. Returns INVALID_ARGUMENT for a
// cursor of another list.
func (s *Service) Page(ctx context.Context, grant models.Grant, r page.Request) (*Connection, error) {
	order := page.Order{List: "apps", At: "created_at", ID: "id"}
	covered := func() *gorm.DB {
		query := s.db.Read(ctx).Model(&models.App{})
		if !grant.AllApps {
			query = query.Where("id IN ?", []int64(grant.AppIDs))
		}
		return query
	}
	query, err := order.Limit(covered(), r)
	if err != nil {
		return nil, err
	}
	var list []*models.App
	if err := query.Find(&list).Error; err != nil {
		return nil, fmt.Errorf("listing apps: %w", err)
	}
	keys := make([]page.Key, len(list))
	for i, app := range list {
		keys[i] = page.Key{At: app.CreatedAt, ID: app.ID}
	}
	return page.Of(order, r, list, keys, func(context.Context) (int, error) {
		var n int64
		err := covered().Count(&n).Error
		return int(n), err
	}), nil
}

// UserCounts returns how many users each of the apps has, by apps.id.
func (s *Service) UserCounts(ctx context.Context, list ...*models.App) (map[int64]models.UserCounts, error) {
	ids := make([]int64, len(list))
	for i, app := range list {
		ids[i] = app.ID
	}
	return headcount.Read(ctx, s.db, ids...)
}

// ByKey returns the app with that key, or nil if there is none.
func (s *Service) ByKey(ctx context.Context, key string) (*models.App, error) {
	if !database.IsASCII(key) {
		return nil, nil
	}
	return s.one(ctx, &models.App{Key: key}, "key")
}

// ByID returns the app with that apps.id, or nil if there is none.
func (s *Service) ByID(ctx context.Context, id int64) (*models.App, error) {
	return s.one(ctx, &models.App{ID: id}, "id")
}

func (s *Service) one(ctx context.Context, where *models.App, column string) (*models.App, error) {
	app := &models.App{}
	err := s.db.Read(ctx).Where(where, column).Take(app).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading app: %w", err)
	}
	return app, nil
}

// IssueToken returns an app token for a caller with the app's secret. It returns INVALID_ARGUMENT for
// a lifetime that is not allowed, the same UNAUTHENTICATED for an unknown key and a wrong secret, and
// fault.AppDisabled for the secret of a disabled app.
func (s *Service) IssueToken(ctx context.Context, key, secret string, ttl time.Duration) (string, models.Time, error) {
	if err := validate.Value("ttl", ttl, "min=1s,max=720h"); err != nil {
		return "", 0, err
	}
	app, err := s.ByKey(ctx, key)
	if err != nil {
		return "", 0, err
	}
	generation := models.NoSecret
	if app != nil {
		generation = s.generationOf(app, secret)
	}
	if generation == models.NoSecret {
		return "", 0, fault.New(fault.Unauthenticated, "the app key or the secret is wrong")
	}
	if app.Disabled() {
		return "", 0, fault.AppDisabled
	}
	return s.sign(app, generation, ttl)
}

// generationOf returns the generation of a valid secret of the app, or models.NoSecret.
func (s *Service) generationOf(app *models.App, secret string) int {
	hash := sha256.Sum256([]byte(secret))
	previous := app.SecretGeneration - 1
	switch {
	case subtle.ConstantTimeCompare(hash[:], app.SecretHash) == 1:
		return app.SecretGeneration
	case subtle.ConstantTimeCompare(hash[:], app.PreviousSecretHash) == 1 && app.AcceptsSecret(previous, models.TimeOf(s.clock())):
		return previous
	}
	return models.NoSecret
}

// The limits of wrong keys and secrets of apps, by key and network, by network and in all. The
// right secret is never refused: guesses cannot lock an App Server out, and no guess finds 256
// bits.
var (
	secretRule = &throttle.Rule{
		Name: "secret-key", Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute, Memory: time.Hour,
	}
	secretNetworkRule = &throttle.Rule{
		Name: "secret-network", Free: 30, Delay: 20 * time.Second, MaxDelay: 20 * time.Second, Memory: 10 * time.Minute,
	}
	secretEveryoneRule = &throttle.Rule{
		Name: "secret-all", Free: 60, Delay: time.Second, MaxDelay: time.Second, Memory: time.Minute,
	}
)

// IssueTokenTo is IssueToken for a caller from that address. It returns RATE_LIMITED with
// retryAfterMs after too many wrong keys or secrets.
func (s *Service) IssueTokenTo(ctx context.Context, address, key, secret string, ttl time.Duration) (string, models.Time, error) {
	text, expires, err := s.IssueToken(ctx, key, secret, ttl)
	if fault.CodeOf(err) != fault.Unauthenticated || errors.Is(err, fault.AppDisabled) {
		return text, expires, err
	}
	network := clientaddr.Network(address)
	_, refusal := s.throttle.Begin(ctx,
		throttle.Key{Rule: secretRule, Subject: key + "\x00" + network},
		throttle.Key{Rule: secretNetworkRule, Subject: network},
		throttle.Key{Rule: secretEveryoneRule})
	if refusal != nil {
		err = fault.TooOften(refusal.Wait, "too many wrong app keys or secrets")
	}
	return "", 0, err
}

// GrantToken returns an app token for an operator, who needs no secret, and records that in the
// audit. If it fails, it records nothing. It returns fault.AppDisabled for a disabled app.
func (s *Service) GrantToken(ctx context.Context, app *models.App, ttl time.Duration, by models.Actor) (text string, expires models.Time, err error) {
	if app.Disabled() {
		return "", 0, fault.AppDisabled
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		if text, expires, err = s.sign(app, app.SecretGeneration, ttl); err != nil {
			return err
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: models.TimeOf(s.clock()), Actor: by.Name, Action: audit.ActionAppGrantToken,
			Target: app.Key, Detail: fmt.Sprintf("minutes=%d", ttl/time.Minute), Address: by.Address,
		})
	})
	if err != nil {
		return "", 0, fmt.Errorf("granting app token: %w", err)
	}
	return text, expires, nil
}

// sign returns a new app token, issued under the secret of that generation.
func (s *Service) sign(app *models.App, generation int, ttl time.Duration) (string, models.Time, error) {
	now := models.TimeOf(s.clock())
	expires := now.Add(ttl)
	text, err := s.keys.Sign(token.Claims{
		AppID:            app.ID,
		SecretGeneration: generation,
		IssuedAt:         now,
		ExpiresAt:        expires,
	}, app.Key, "")
	if err != nil {
		return "", 0, fmt.Errorf("signing app token: %w", err)
	}
	return text, expires, nil
}

// MaxOverlap is the longest time for which a secret is valid after a rotation.
const MaxOverlap = 30 * 24 * time.Hour

// RotateSecret gives the app a new secret and returns it. The present secret ends after the
// duration overlap, or at once if it is 0, and one that an earlier rotation left valid ends at once,
// so that no more than two are valid. With a secret end all app and user tokens that were issued
// under it, on every node by the node's clock. App Servers' connections are then closed; users'
// connections stay open to receive events. It returns nil and "" if the key is unknown, and
// INVALID_ARGUMENT for an overlap that is negative or longer than MaxOverlap.
func (s *Service) RotateSecret(ctx context.Context, key string, overlap time.Duration, by models.Actor) (*models.App, string, error) {
	if err := validate.Value("overlap", overlap, "min=0s,max=720h"); err != nil {
		return nil, "", err
	}
	if !database.IsASCII(key) {
		return nil, "", nil
	}
	secret, hash := newSecret()
	app := &models.App{}
	shown := s.showing(app, secret)
	recorded := false
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		*app, recorded = models.App{}, false
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where(&models.App{Key: key}, "key").Take(app).Error
		if err != nil {
			return err
		}
		if app.Deleting() {
			return errDeleting
		}
		now, detail := models.TimeOf(s.clock()), ""
		app.PreviousSecretHash, app.PreviousSecretEndsAt = nil, 0
		if overlap > 0 {
			app.PreviousSecretHash, app.PreviousSecretEndsAt = app.SecretHash, now.Add(overlap)
			detail = fmt.Sprintf("overlap=%s", overlap)
		}
		app.SecretHash = hash
		app.SecretGeneration++
		err = tx.Model(app).Select("secret_hash", "secret_generation", "previous_secret_hash", "previous_secret_ends_at").Updates(app).Error
		if err != nil {
			return err
		}
		rotated := outbox.Secret{}
		if ends := app.PreviousSecretEndsAt; ends > 0 {
			rotated.PreviousEndsAt = new(ends.String())
		}
		if recorded, err = s.record(tx, app, outbox.AppSecretRotated, now, outbox.App{Secret: &rotated}); err != nil {
			return err
		}
		err = audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: now, Actor: by.Name, ActorKey: by.Key, Action: audit.ActionAppRotateSecret,
			Target: app.Key, Detail: detail, Address: by.Address,
		})
		if err != nil {
			return err
		}
		return shown.Now()
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, "", nil
	}
	if errors.Is(err, errDeleting) {
		return nil, "", err
	}
	if err != nil {
		return nil, "", fmt.Errorf("rotating secret: %w", shown.Explain(err))
	}
	s.bus.PublishAppChanged(ctx, bus.AppChanged{App: app})
	s.bus.PublishEventsRecorded(ctx, recorded)
	return app, secret, nil
}

// record records an event of the app in tx, which has locked its row, and reports whether an endpoint
// receives it.
func (s *Service) record(tx *gorm.DB, app *models.App, kind outbox.Type, at models.Time, what outbox.App) (bool, error) {
	return s.outbox.Write(tx, app.ID, func() ([]outbox.Event, error) {
		return []outbox.Event{{Type: kind, At: at, Data: outbox.Data{App: &what}}}, nil
	})
}

// newKey returns an app key: 100 random bits in letters and digits only, so that a double click
// selects it.
func newKey() string {
	raw := make([]byte, 20)
	rand.Read(raw)
	return "rc" + strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:20]
}

func newSecret() (secret string, hash []byte) {
	raw := make([]byte, 32)
	rand.Read(raw)
	secret = base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

func checkEnvironment(env models.Environment) error {
	switch env {
	case models.EnvironmentDevelopment, models.EnvironmentProduction:
		return nil
	}
	return fault.Invalid("environment", "oneof", "environment must be development or production")
}

func checkEdition(edition models.Edition) error {
	switch edition {
	case models.EditionStandard, models.EditionFlagship, models.EditionPremium:
		return nil
	}
	return fault.Invalid("edition", "oneof", "edition must be standard, flagship or premium")
}
