package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// lapseWhenDue looks for users that are ONLINE only in the database, if that is due. It returns how
// long to wait if it is not due yet.
func (s *Registry) lapseWhenDue(ctx context.Context) (pause time.Duration, err error) {
	r := &s.repair
	r.mu.Lock()
	due, born, absent := r.lapse, r.born, r.absent
	if due.IsZero() {
		r.mu.Unlock()
		return 0, nil
	}
	if pause = time.Until(due); pause > 0 {
		r.mu.Unlock()
		return pause, nil
	}
	r.lapse, r.absent = time.Time{}, make(map[int64]int64)
	r.mu.Unlock()
	if err = s.lapseAll(ctx, born); err == nil {
		err = s.publishRows(ctx, absent)
	}
	if err != nil {
		r.update(func() {
			if r.lapse.Before(due) {
				r.lapse = due
			}
			maps.Copy(r.absent, absent)
		})
	}
	return 0, err
}

// lapseAll sets users to OFFLINE that are ONLINE in the database and have no device at any node.
// They were left by a service that was killed, or by a node whose devices Redis has lost.
func (s *Registry) lapseAll(ctx context.Context, born int64) error {
	apps, err := gorm.G[models.App](s.DB.Read(ctx)).Select("id").Find(ctx)
	if err != nil {
		return fmt.Errorf("reading apps: %w", err)
	}
	for _, app := range apps {
		for last := int64(0); ; {
			rows, err := gorm.G[models.User](s.DB.Read(ctx)).Select("id", "app_id", "external_id", "presence_at").
				Where("app_id = ? AND presence = ? AND id > ?", app.ID, models.PresenceOnline, last).
				Order("id").Limit(mirror.RestartChunk).Find(ctx)
			if err != nil {
				return fmt.Errorf("reading the ONLINE users: %w", err)
			}
			if err := s.lapseSome(ctx, born, rows); err != nil {
				return s.failed(err)
			}
			if len(rows) < mirror.RestartChunk {
				break
			}
			last = rows[len(rows)-1].ID
		}
	}
	return nil
}

func (s *Registry) lapseSome(ctx context.Context, born int64, rows []models.User) error {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	records, err := s.ledger.Records(ctx, ids)
	if err != nil {
		return err
	}
	for i, record := range records {
		if record != nil && record.Presence == models.PresenceOnline {
			continue
		}
		u := status.AccountOf(&rows[i])
		record, err := s.ledger.Lapse(ctx, born, u.Disconnected(), s.Now())
		if err != nil {
			return err
		}
		if record != nil {
			s.noteTransition(record)
			s.mirror.Keep(record.ID, record.State)
		}
	}
	return nil
}

// publishRows publishes the database's statuses of users that Redis still does not know, if they are
// newer than what the watchers here received.
func (s *Registry) publishRows(ctx context.Context, absent map[int64]int64) error {
	ids := make([]int64, 0, len(absent))
	for id := range absent {
		ids = append(ids, id)
	}
	for chunk := range slices.Chunk(ids, loadChunk) {
		records, err := s.ledger.Records(ctx, chunk)
		if err != nil {
			return s.failed(err)
		}
		rows, err := gorm.G[models.User](s.DB.Read(ctx)).
			Select("id", "app_id", "external_id", "presence", "presence_at").Where("id IN ?", chunk).Find(ctx)
		if err != nil {
			return fmt.Errorf("reading the statuses of %d users: %w", len(chunk), err)
		}
		for i := range rows {
			row := status.RecordOf(status.AccountOf(&rows[i]))
			// Versions are times in microseconds.
			if record := records[slices.Index(chunk, row.ID)]; record == nil && int64(row.Since)*1000 > absent[row.ID] {
				row.Version = absent[row.ID] + 1
				s.publish(status.UserKey(row.ID), &row)
			}
		}
	}
	return nil
}
