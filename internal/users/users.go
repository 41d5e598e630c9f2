// Package users holds the rules about an app's users: registration and tokens,
// what a token is still worth, changes, lists and deletion.
package users

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/token"
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

	byExternalID *database.Coalescer[externalKey, *models.User]
	access       *database.Coalescer[int64, *access]
	appByID      *database.Coalescer[int64, *models.App]
}

// externalKey names a user as the API does.
type externalKey struct {
	appID      int64
	externalID string
}

// New answers a Service; clock is time.Now outside tests.
func New(db *database.DB, b *bus.Bus, keys *token.Keys, eraser Eraser, clock func() time.Time) *Service {
	s := &Service{db: db, bus: b, keys: keys, eraser: eraser, clock: clock, reach: reach{SearchIDs, SearchNames}}
	s.byExternalID = database.NewCoalescer(MaxIDs, s.fetchByExternalID)
	s.access = database.NewCoalescer(MaxIDs, s.fetchAccess)
	s.appByID = database.NewCoalescer(MaxIDs, s.fetchApps)
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
	out := make([]*models.User, len(ids))
	possible := wellFormed(ids)
	if len(possible) == 0 {
		return out, nil
	}
	var rows []*models.User
	err := s.db.Read(ctx).Where("app_id = ? AND external_id IN ?", appID, possible).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	byID := make(map[string]*models.User, len(rows))
	for _, u := range rows {
		byID[u.ExternalID] = u
	}
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out, nil
}

// fetchByExternalID reads the users of several apps at once.
func (s *Service) fetchByExternalID(ctx context.Context, keys []externalKey) (map[externalKey]*models.User, error) {
	byApp := make(map[int64][]string, 1)
	for _, k := range keys {
		byApp[k.appID] = append(byApp[k.appID], k.externalID)
	}
	query := s.db.Read(ctx)
	for appID, ids := range byApp {
		query = query.Or("app_id = ? AND external_id IN ?", appID, ids)
	}
	var rows []*models.User
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	out := make(map[externalKey]*models.User, len(rows))
	for _, u := range rows {
		out[externalKey{u.AppID, u.ExternalID}] = u
	}
	return out, nil
}

// wellFormed answers those of ids that somebody could have.
func wellFormed(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if database.IsASCII(id) {
			out = append(out, id)
		}
	}
	return out
}
