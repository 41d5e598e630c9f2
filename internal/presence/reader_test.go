package presence

import (
	"context"
	"slices"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// readerFunc is a fanout.Reader.
type readerFunc func(keys []int64)

func (f readerFunc) WillRead(keys ...int64) { f(keys) }

// TestReads_AreAnnouncedFirst changes a status when its read is announced. The result must contain
// the change.
func TestReads_AreAnnouncedFirst(t *testing.T) {
	reads := []struct {
		name string
		read func(ctx context.Context, w *world) (models.UserStatus, error)
	}{
		{"StatusOf", func(ctx context.Context, w *world) (models.UserStatus, error) {
			return w.Hub.StatusOf(ctx, w.row(0))
		}},
		{"StatusesOf", func(ctx context.Context, w *world) (models.UserStatus, error) {
			statuses, err := w.StatusesOf(ctx, []*models.User{w.row(1), w.row(0)})
			if err != nil {
				return models.UserStatus{}, err
			}
			return statuses[1], nil
		}},
		{"Statuses", func(ctx context.Context, w *world) (models.UserStatus, error) {
			statuses, err := w.Statuses(ctx, w.app.ID, []string{"u1", "nobody", "u0"})
			if err != nil {
				return models.UserStatus{}, err
			}
			return *statuses[2], nil
		}},
		{"Subscribe", func(ctx context.Context, w *world) (models.UserStatus, error) {
			out, err := w.Subscribe(ctx, w.appNow(), w.row(1), []string{"u0"})
			if err != nil {
				return models.UserStatus{}, err
			}
			return *out.Statuses[0], nil
		}},
		{"SetStatus", func(ctx context.Context, w *world) (models.UserStatus, error) {
			return w.Hub.SetStatus(ctx, w.account(0), "announced")
		}},
	}
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		test := func(w *world) {
			w.connect(0)
			for _, r := range reads {
				t.Run(r.name, func(t *testing.T) {
					if _, err := w.SetStatus(w.account(0), r.name); err != nil {
						t.Fatal(err)
					}
					var keys []int64
					ctx := fanout.WithReader(context.Background(), readerFunc(func(announced []int64) {
						keys = append(keys, announced...)
						if _, err := w.SetStatus(w.account(0), "announced"); err != nil {
							t.Error(err)
						}
					}))
					status, err := r.read(ctx, w)
					if err != nil || status.UserID != "u0" || status.CustomStatus != "announced" {
						t.Errorf("got %+v, %v; want the status since the announcement", status, err)
					}
					if !slices.Contains(keys, w.users[0].ID) {
						t.Errorf("announced %v, want %d", keys, w.users[0].ID)
					}
				})
			}
		}
		test(newWorld(t, db, 2))
		drop(t, db)
		test(newNodes(t, db, 1, 2)[0])
	})
}
