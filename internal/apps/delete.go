package apps

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/tracing"
	"rollcall/models"
)

// deletionInterval is how often a node looks for apps whose deletion has not been completed, because
// its node or command has ended.
const deletionInterval = 5 * time.Second

// errDeleting refuses changes of an app that is being deleted.
var errDeleting = fault.New(fault.Forbidden, "the app is being deleted")

// deletions are what the deletion of apps needs.
type deletions struct {
	// parts delete what other rules store about an app, all of it, in bounded transactions, and return
	// how many rows there were.
	parts []AppPart
	// wake has room for one request to complete deletions now.
	wake chan struct{}
}

// AppPart deletes what a rule stores about an app, in bounded transactions, and returns how many rows
// that were. It is called again until it returns 0.
type AppPart func(ctx context.Context, app *models.App) (deleted int, err error)

// Deleting returns a copy of s that can delete apps. The parts are called in their order.
func (s *Service) Deleting(parts ...AppPart) *Service {
	deletes := *s
	deletes.deletions = &deletions{parts: parts, wake: make(chan struct{}, 1)}
	return &deletes
}

// CheckDeletion returns nil if the app can be deleted, and otherwise FORBIDDEN with a rule: `enabled`
// if it is not disabled, or `users` for a PRODUCTION app with users, deactivated ones included.
func (s *Service) CheckDeletion(ctx context.Context, app *models.App) error {
	return checkDeletion(s.db.Read(ctx), app)
}

func checkDeletion(db *gorm.DB, app *models.App) error {
	if !app.Disabled() {
		return fault.New(fault.Forbidden, "disable the app before it is deleted").With("rule", "enabled")
	}
	if app.Environment == models.EnvironmentDevelopment {
		return nil
	}
	var users []int64
	if err := db.Model(&models.User{}).Where("app_id = ?", app.ID).Limit(1).Pluck("id", &users).Error; err != nil {
		return fmt.Errorf("looking for an app's users: %w", err)
	}
	if len(users) > 0 {
		return fault.New(fault.Forbidden, "a PRODUCTION app with users, deactivated ones included, cannot be deleted").With("rule", "users")
	}
	return nil
}

// Delete begins to delete an app with everything that belongs to it, except its audit entries. name
// must be the app's name. When it has returned, the app can neither be enabled nor changed; the rest
// is done by CompleteDeletions, of this node or another. It returns nil if the key is unknown,
// INVALID_ARGUMENT for another name, and the errors of CheckDeletion. An app whose deletion has begun
// is not changed.
func (s *Service) Delete(ctx context.Context, key, name string, by models.Actor) (*models.App, error) {
	if !database.IsASCII(key) {
		return nil, nil
	}
	app := &models.App{}
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		*app = models.App{}
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where(&models.App{Key: key}, "key").Take(app).Error
		if err != nil {
			return err
		}
		if strings.TrimSpace(name) != strings.TrimSpace(app.Name) {
			return fault.Invalid("name", "eq", "the name is not that of the app, which is %q", app.Name)
		}
		if app.Deleting() {
			return nil
		}
		if err := checkDeletion(tx, app); err != nil {
			return err
		}
		app.DeletingAt = models.TimeOf(s.clock())
		if err := tx.Model(app).Update("deleting_at", app.DeletingAt).Error; err != nil {
			return err
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: app.DeletingAt, Actor: by.Name, ActorKey: by.Key, Action: audit.ActionAppDelete, Target: app.Key,
			Detail: fmt.Sprintf("name=%s environment=%s", app.Name, app.Environment), Address: by.Address,
		})
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, "deleting app")
	}
	select {
	case s.deletions.wake <- struct{}{}:
	default: // already requested
	}
	return app, nil
}

// RunDeletions completes deletions until ctx ends.
func (s *Service) RunDeletions(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(deletionInterval)
	defer ticker.Stop()
	warnings := outage.NewLog(log)
	for {
		if err := s.CompleteDeletions(ctx); err != nil && !outage.CallerGone(ctx, err) {
			warnings.Warn(ctx, "deleting an app failed; retrying", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.deletions.wake:
		case <-ticker.C:
		}
	}
}

// CompleteDeletions deletes everything of the apps whose deletion has begun, and at last the apps. It
// may be ended at any time and by any error, and called again, also by several nodes at once.
func (s *Service) CompleteDeletions(ctx context.Context) error {
	var list []*models.App
	if err := s.db.Read(ctx).Where("deleting_at > 0").Find(&list).Error; err != nil {
		return fmt.Errorf("looking for apps to delete: %w", err)
	}
	for _, app := range list {
		if err := s.completeDeletion(ctx, app); err != nil {
			return fmt.Errorf("deleting app %d: %w", app.ID, err)
		}
	}
	return nil
}

func (s *Service) completeDeletion(ctx context.Context, app *models.App) (err error) {
	ctx, span := tracing.Task(ctx, "delete app")
	defer func() { span.End(err) }()
	// Changes that began before the deletion may end while the rows are deleted.
	for deleted := 1; deleted > 0; {
		deleted = 0
		for _, part := range s.deletions.parts {
			n, err := part(ctx, app)
			if err != nil {
				return err
			}
			deleted += n
		}
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Where("id = ? AND deleting_at > 0", app.ID).Delete(&models.App{}).Error
	})
}
