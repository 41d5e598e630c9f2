package users

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/once"
	"rollcall/internal/page"
	"rollcall/internal/redis"
	"rollcall/internal/userlock"
	"rollcall/models"
)

const (
	// fillPage is how many users one statement reads, and fillChunk how many one transaction changes.
	fillPage  = 2000
	fillChunk = 200
)

// RunFillSearch runs FillSearch in turn with other nodes until it has succeeded at one of them, or ctx
// ends.
func (s *Service) RunFillSearch(ctx context.Context, client *redis.Client, log *slog.Logger) {
	once.New(client, "fill-search").Run(ctx, log, func(ctx context.Context) error {
		filled, err := s.FillSearch(ctx)
		if filled > 0 {
			log.InfoContext(ctx, "users were made ready for searches", "users", filled)
		}
		return err
	})
}

// FillSearch brings users.search_name into the form of models.SearchName, for users that a node of an
// earlier release has written: it then has no ID. Returns how many it changed. It may be ended at any
// time, and called again, also by several nodes at once. It reads an index in pages and pauses after each.
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
		began := time.Now()
		read, err := s.fillRows(ctx, appID, last)
		if err != nil || len(read) == 0 {
			return filled, err
		}
		var ids []int64
		for _, row := range read {
			if row.Unfilled {
				ids = append(ids, row.ID)
			}
		}
		for ids := range slices.Chunk(ids, fillChunk) {
			if err := s.fill(ctx, ids); err != nil {
				return filled, err
			}
			filled += len(ids)
		}
		last = page.Key{At: read[len(read)-1].CreatedAt, ID: read[len(read)-1].ID}
		if err := once.Pause(ctx, began); err != nil {
			return filled, err
		}
	}
}

// fillRow is a user whose search name may have to be filled in.
type fillRow struct {
	ID        int64
	CreatedAt models.Time
	// Unfilled reports whether an earlier release has written the user.
	Unfilled bool
}

// fillRows returns the next users of the app behind a position, in the order of their registration.
func (s *Service) fillRows(ctx context.Context, appID int64, from page.Key) (rows []fillRow, err error) {
	order := page.Order{At: "created_at", ID: "id", OldestFirst: true}
	err = order.Read(s.readBy(ctx, "users_app_created").Where("app_id = ?", appID), &from, fillPage).
		Select("created_at, id, INSTR(search_name, CHAR(10)) = 0 AS unfilled").Find(&rows).Error
	return rows, err
}

// fill writes the search names of these users.
func (s *Service) fill(ctx context.Context, ids []int64) error {
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
