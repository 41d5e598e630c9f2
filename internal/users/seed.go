package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/models"
)

// seedBatch is the number of example users that one transaction creates.
const seedBatch = 500

// Seed creates the example users user-0000001 to user-N of the app, in batches of one transaction
// each. They are registered one millisecond after the other, the last one now, so that lists have them
// in the order of their numbers. Existing ones stay unchanged. After each batch it calls progress with
// the number of users done. Returns USER_LIMIT_REACHED, with nothing done in that batch.
func (s *Service) Seed(ctx context.Context, app *models.App, n int, progress func(done int)) error {
	last := s.now()
	for start := 0; start < n; start += seedBatch {
		end := min(start+seedBatch, n)
		batch := make([]*models.User, 0, end-start)
		for i := start; i < end; i++ {
			u := s.newUser(app, Registration{ID: seedID(i), Name: seedName(i)})
			u.CreatedAt = last - models.Time(n-1-i)
			batch = append(batch, u)
		}
		err := s.db.Tx(ctx, func(tx *gorm.DB) error { return s.seedBatch(tx, app, batch) })
		if err != nil {
			return fault.Wrap(err, "seeding users")
		}
		progress(end)
	}
	return nil
}

// SeededKeys returns the users.id of the first n example users that Seed creates.
func (s *Service) SeededKeys(ctx context.Context, app *models.App, n int) ([]int64, error) {
	var keys []int64
	err := s.db.Read(ctx).Model(&models.User{}).
		Where("app_id = ? AND external_id >= ? AND external_id <= ?", app.ID, seedID(0), seedID(n-1)).
		Order("external_id").Pluck("id", &keys).Error
	if err != nil {
		return nil, fmt.Errorf("reading seeded users: %w", err)
	}
	return keys, nil
}

func seedID(i int) string { return fmt.Sprintf("user-%07d", i+1) }

func (s *Service) seedBatch(tx *gorm.DB, app *models.App, batch []*models.User) error {
	modifier := "IGNORE"
	if s.db.Dialect() == database.SQLite {
		modifier = "OR IGNORE"
	}
	made := tx.Clauses(clause.Insert{Modifier: modifier}).Create(&batch)
	if made.Error != nil || made.RowsAffected == 0 {
		return made.Error
	}
	return s.countMore(tx, app, int(made.RowsAffected))
}

// seedName returns names with which searching and sorting can be shown.
func seedName(i int) string {
	given := []string{"Ann", "Bo", "Chen", "Dana", "Emre", "Fay", "Gita", "Hugo", "伊娜", "João", "Kim", "丽", "Mia", "Nils", "Ola", "Pia"}
	family := []string{"Abe", "Brandt", "Costa", "Diaz", "Eriksen", "Fischer", "García", "何", "Ivanov", "Jansen", "Kaya", "林", "Moreau", "Novak", "Okafor"}
	return given[i%len(given)] + " " + family[i/len(given)%len(family)]
}
