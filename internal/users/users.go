// Package users holds the rules about an app's users: registration and tokens,
// what a token is still worth, changes, lists and deletion.
package users

import (
	"context"
	"time"

	"rollcall/internal/admission"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/headcount"
	"rollcall/internal/token"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// MaxTokenTTL is the longest lifetime of a user token in seconds: ten years.
const MaxTokenTTL = 315_360_000

// MaxIDs is how many IDs one read may ask for.
const MaxIDs = 500

// Service carries out the rules about users.
type Service struct {
	db     *database.DB
	bus    *bus.Bus
	keys   *token.Keys
	clock  func() time.Time
	eraser Eraser
	reach  reach
	counts *headcount.Counter
	// slow bounds the slow reads, which are operators' if forOperators.
	slow         *admission.Gate[int64]
	forOperators bool

	fetchByExternalID func(ctx context.Context, keys []externalKey) (map[externalKey]*models.User, error)

	byExternalID     *database.Coalescer[externalKey, *models.User]
	access           *database.Coalescer[int64, *access]
	userAndSecret    *database.Coalescer[externalKey, *userAndSecret]
	profileAndSecret *database.Coalescer[externalKey, *userAndSecret]
	appByID          *database.Coalescer[int64, *models.App]
}

// externalKey names a user as the API does.
type externalKey struct {
	appID      int64
	externalID string
}

// New answers a Service; clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, keys *token.Keys, eraser Eraser, clock func() time.Time) *Service {
	s := &Service{
		db: db, bus: b, keys: keys, eraser: eraser, clock: clock,
		reach: reach{SearchIDs, SearchNames}, counts: new(headcount.Counter), slow: newSlowReads(slowReadLimits(db)),
	}
	s.fetchByExternalID = database.Fetcher(db, byExternalID(db))
	s.byExternalID = coalescer(s.fetchByExternalID)
	s.access = coalescer(database.Fetcher(db, accessByID))
	s.userAndSecret = coalescer(database.Fetcher(db, userAndSecretByExternalID(db, userRow)))
	s.profileAndSecret = coalescer(database.Fetcher(db, userAndSecretByExternalID(db, profileRow)))
	s.appByID = coalescer(database.Fetcher(db, appByID))
	return s
}

func (s *Service) now() models.Time { return models.TimeOf(s.clock()) }

// ByID answers the user of the app with that external ID, nil where there is none.
func (s *Service) ByID(ctx context.Context, appID int64, id string) (*models.User, error) {
	if !database.IsASCII(id) {
		return nil, nil
	}
	u, _, err := s.byExternalID.Get(ctx, externalKey{appID, id})
	return u, err
}

// ByIDs answers the users of the app in the order asked, nil where there is
// none; one query whatever their number. The same ID twice is answered twice.
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
