package users

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/userkey"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Registration is what the App Server sends to register a user.
type Registration struct {
	ID   string `json:"id" validate:"required,max=64,userid"`
	Name string `json:"name" validate:"required,max=64,notblank,nocontrol,nobidi"`
	// AvatarURL is "" if an existing user keeps its avatar.
	AvatarURL string `json:"avatarUrl" validate:"omitempty,maxbytes=1024,http_url"`
	// TokenTTL is the token's lifetime, at most ten years. If it is 0, the token does not expire.
	TokenTTL time.Duration `json:"tokenTtlSeconds" validate:"omitempty,min=1s,max=87600h"`
}

// Validate returns INVALID_ARGUMENT if a value violates its rule.
func (in Registration) Validate() error { return validate.Input(in) }

// Registered is the result of a registration.
type Registered struct {
	Issued
	// Created reports whether the user is new.
	Created bool
}

// Register creates the user, or updates the existing one, and issues another token for it. Returns
// USER_LIMIT_REACHED with `limit`, which holds exactly under concurrency, USER_DEACTIVATED, and
// Validate's error. A banned user can be registered again and stays banned.
func (s *Service) Register(ctx context.Context, app *models.App, in Registration) (*Registered, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	user, created, err := s.upsert(ctx, app, in)
	if err != nil {
		return nil, err
	}
	issued, err := s.issue(app, user, in.TokenTTL)
	return &Registered{Issued: issued, Created: created}, err
}

// upsert registers the user without a token. If two calls register the same new ID concurrently,
// one inserts the row; the other finds it when it retries.
func (s *Service) upsert(ctx context.Context, app *models.App, in Registration) (user *models.User, created bool, err error) {
	var recorded bool
	err = s.register(ctx, func(tx *gorm.DB) error {
		user, err = find(tx, app, in.ID)
		if err != nil {
			return err
		}
		created = user == nil
		if created {
			user = s.newUser(app, in)
			if err := s.insert(tx, app, user); err != nil {
				return err
			}
			recorded, err = s.record(tx, app, []*models.User{user}, s.profileEvent(outbox.UserRegistered))
			return err
		}
		recorded, err = s.apply(tx, app, user, in.profile())
		return err
	})
	s.bus.PublishEventsRecorded(ctx, recorded && err == nil)
	if err == nil && !created {
		s.announce(ctx, user.ID)
	}
	return user, created, fault.Wrap(err, "registering user")
}

// attempts is how often a registration is tried, because one of its new IDs may be registered
// concurrently, or have a key that another node has just made.
const attempts = 10

// register runs fn in a transaction, and again if an ID that it found free, or a key, was taken before it
// inserted the row.
func (s *Service) register(ctx context.Context, fn func(tx *gorm.DB) error) (err error) {
	for range attempts {
		if err = s.db.Tx(ctx, fn); !errors.Is(err, gorm.ErrDuplicatedKey) {
			return err
		}
	}
	return err
}

// profile returns the registration as a change of an existing user.
func (in Registration) profile() Change {
	return Change{Name: in.Name, AvatarURL: in.AvatarURL}
}

func (s *Service) newUser(app *models.App, in Registration) *models.User {
	now := s.now()
	u := &models.User{
		ID:         userkey.New(app.ID, in.ID),
		AppID:      app.ID,
		ExternalID: in.ID,
		Name:       in.Name,
		SearchName: models.SearchName(in.Name, in.ID),
		CreatedAt:  now,
		UpdatedAt:  now,
	}
	if in.AvatarURL != "" {
		u.AvatarURL = &in.AvatarURL
	}
	return u
}

// insert inserts the row and then counts it. In this order, because other registrations may wait
// for the row of counters: it is locked last and for the shortest time.
func (s *Service) insert(tx *gorm.DB, app *models.App, user *models.User) error {
	if err := tx.Create(user).Error; err != nil {
		return err
	}
	return s.countMore(tx, app, 1)
}

// countMore adds n users to the counters. Returns USER_LIMIT_REACHED if the app has no room for
// them.
func (s *Service) countMore(tx *gorm.DB, app *models.App, n int) error {
	err := s.counts.In(tx, app).Register(n)
	if e, ok := errors.AsType[*headcount.FullError](err); ok {
		return full(e)
	}
	return err
}

// find returns the user, locked for an update, or nil if there is none.
func find(tx *gorm.DB, app *models.App, id string) (*models.User, error) {
	users, err := userlock.Lock(tx, app, []string{id})
	return users[id], err
}
