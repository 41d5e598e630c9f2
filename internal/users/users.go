// Package users implements the rules for an app's users: registration, profiles, bans, deactivation
// and deletion, tokens and their validity, and lists.
package users

import (
	"context"
	"log/slog"
	"time"

	"rollcall/internal/admission"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/headcount"
	"rollcall/internal/outage"
	"rollcall/internal/outbox"
	"rollcall/internal/token"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// MaxIDs is the maximum number of IDs in one read.
const MaxIDs = 500

// Service implements the rules for users.
type Service struct {
	db     *database.DB
	bus    *bus.Bus
	keys   *token.Keys
	clock  func() time.Time
	eraser Eraser
	reach  reach
	counts *headcount.Counter
	outbox *outbox.Outbox
	// slow limits the slow reads. They count as operators' if forOperators is true.
	slow         *admission.Gate[int64]
	forOperators bool
	// issuesUnder is the generation of the secret under which tokens are issued, or models.NoSecret
	// for the app's present one.
	issuesUnder int

	fetchByExternalID func(ctx context.Context, keys []externalKey) (map[externalKey]*models.User, error)

	byExternalID     *database.Coalescer[externalKey, *models.User]
	access           *database.Coalescer[int64, *access]
	userAndSecret    *database.Coalescer[externalKey, *userAndSecret]
	profileAndSecret *database.Coalescer[externalKey, *userAndSecret]
	appByID          *database.Coalescer[int64, *models.App]

	watchers *watchers
	// readFailures logs the failed reads of watched users.
	readFailures *outage.Log
}

// externalKey identifies a user by its app and external ID.
type externalKey struct {
	appID      int64
	externalID string
}

// Options are the options of New.
type Options struct {
	// Clock is time.Now if it is nil.
	Clock func() time.Time
	// Logger logs failures that are returned to no caller; nil means slog.Default.
	Logger *slog.Logger
}

// New returns a Service.
func New(db *database.DB, b *bus.Bus, keys *token.Keys, eraser Eraser, opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	s := &Service{
		db: db, bus: b, keys: keys, eraser: eraser, clock: opts.Clock, readFailures: outage.NewLog(opts.Logger),
		issuesUnder: models.NoSecret,
		reach:       reach{SearchIDs, SearchNames}, counts: new(headcount.Counter), outbox: outbox.New(db), slow: newSlowReads(slowReadLimits(db)),
	}
	s.fetchByExternalID = database.Fetcher(db, byExternalID(db))
	s.byExternalID = coalescer(s.fetchByExternalID)
	s.access = coalescer(database.Fetcher(db, accessByID))
	s.userAndSecret = coalescer(database.Fetcher(db, userAndSecretByExternalID(db, userRow)))
	s.profileAndSecret = coalescer(database.Fetcher(db, userAndSecretByExternalID(db, profileRow)))
	s.watchers = &watchers{byID: make(map[int64]*watched), unread: make(map[int64]bool), wake: make(chan struct{}, 1)}
	s.listen()
	s.appByID = coalescer(database.Fetcher(db, appByID))
	return s
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// ByID returns the app's user with that external ID, or nil if there is none.
func (s *Service) ByID(ctx context.Context, appID int64, id string) (*models.User, error) {
	if !database.IsASCII(id) {
		return nil, nil
	}
	u, _, err := s.byExternalID.Get(ctx, externalKey{appID, id})
	return u, err
}

// ByIDWithSecret returns the same user as ByID and, from the same statement, the generation of the
// app's secret, which confirms a token (see auth.Deferred). It returns nil and models.NoSecret if
// there is no such user. If profile is true, it may read only models.ProfileColumns of the user.
func (s *Service) ByIDWithSecret(ctx context.Context, appID int64, id string, profile bool) (*models.User, int, error) {
	if !database.IsASCII(id) {
		return nil, models.NoSecret, nil
	}
	read := s.userAndSecret
	if profile {
		read = s.profileAndSecret
	}
	found, ok, err := read.Get(ctx, externalKey{appID, id})
	if err != nil || !ok {
		return nil, models.NoSecret, err
	}
	return &found.User, found.secretGeneration, nil
}

// ByIDs returns the app's users with these IDs, in the order of ids, with nil for a missing one and
// twice for an ID given twice. It runs one query whatever their number.
func (s *Service) ByIDs(ctx context.Context, appID int64, ids []string) ([]*models.User, error) {
	var asked []externalKey
	for _, id := range userlock.Possible(ids) {
		asked = append(asked, externalKey{appID, id})
	}
	found, err := s.fetchByExternalID(ctx, asked)
	if err != nil {
		return nil, err
	}
	out := make([]*models.User, len(ids))
	for i, id := range ids {
		out[i] = found[externalKey{appID, id}]
	}
	return out, nil
}
