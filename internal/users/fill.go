package users

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/outage"
	"rollcall/internal/page"
	"rollcall/internal/userlock"
	"rollcall/models"
)

const (
	// fillChunk is how many users one transaction changes.
	fillChunk = 200
	// fillPause is how long RunFillSearch waits after an error.
	fillPause = 5 * time.Second
)

// RunFillSearch runs FillSearch until it succeeds or ctx ends.
func (s *Service) RunFillSearch(ctx context.Context, log *slog.Logger) {
	for {
		filled, err := s.FillSearch(ctx)
		if filled > 0 {
			log.InfoContext(ctx, "users were made ready for searches", "users", filled)
		}
		if err == nil || outage.CallerGone(ctx, err) {
			return
		}
		log.WarnContext(ctx, "making users ready for searches failed; retrying", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(fillPause):
		}
	}
}

// FillSearch brings users.search_name into the form of models.SearchName, for users that a node of an
// earlier release has written: it then has no ID. Returns how many it changed. It may be ended at any
// time, and called again, also by several nodes at once. If all users have the form, it reads an index
// alone.
func (s *Service) FillSearch(ctx context.Context) (filled int, err error) {
	var apps []int64
	if err := s.db.Read(ctx).Model(&models.App{}).Order("id").Pluck("id", &apps).Error; err != nil {
		return 0, fmt.Errorf("listing apps: %w", err)
	}
	for _, app := range apps {
		n, err := s.fillApp(ctx, app)
		if filled += n; err != nil {
			return filled, fmt.Errorf("filling in search names: %w", err)
		}
	}
	return filled, nil
}

// fillApp is FillSearch for one app.
func (s *Service) fillApp(ctx context.Context, appID int64) (filled int, err error) {
	var last page.Key
	for {
		keys, err := s.unfilled(ctx, appID, last)
		if err != nil || len(keys) == 0 {
			return filled, err
		}
		if err := s.fill(ctx, keys); err != nil {
			return filled, err
		}
		filled, last = filled+len(keys), keys[len(keys)-1]
	}
}

// unfilled returns the positions of the next users behind a position that an earlier release has
// written, in the order of their registration.
func (s *Service) unfilled(ctx context.Context, appID int64, from page.Key) (keys []page.Key, err error) {
	order := page.Order{At: "created_at", ID: "id", OldestFirst: true}
	var found []*models.User
	err = s.readBy(ctx, "users_app_created").Where("app_id = ? AND INSTR(search_name, CHAR(10)) = 0", appID).
		Where(order.Condition(), from.At, from.At, from.At, from.ID).
		Order(order.By()).Limit(fillChunk).Select("created_at", "id").Find(&found).Error
	for _, u := range found {
		keys = append(keys, page.Key{At: u.CreatedAt, ID: u.ID})
	}
	return keys, err
}

// fill writes the search names of these users.
func (s *Service) fill(ctx context.Context, keys []page.Key) error {
	ids := make([]int64, len(keys))
	for i, key := range keys {
		ids[i] = key.ID
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		locked, err := userlock.LockKeys(tx, ids)
		if err != nil || len(locked) == 0 {
			return err
		}
		set, args := "CASE id", []any{}
		for _, u := range locked {
			set += " WHEN ? THEN ?"
			args = append(args, u.ID, models.SearchName(u.Name, u.ExternalID))
		}
		return tx.Exec("UPDATE users SET search_name = "+set+" ELSE search_name END WHERE id IN ?", append(args, ids)...).Error
	})
}
