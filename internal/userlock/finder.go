package userlock

import (
	"context"

	"rollcall/internal/database"
	"rollcall/models"
)

const (
	// sharedKeys is the maximum number of users whose keys one query reads.
	sharedKeys = 64
	// separateReads is how many reads run concurrently before further reads share one. A change
	// reads the keys of two users in most cases.
	separateReads = 8
)

// Finder finds the keys of users.
type Finder struct {
	keys *database.Coalescer[externalKey, int64]
}

// externalKey identifies a user as the API does.
type externalKey struct {
	appID int64
	id    string
}

// NewFinder returns a Finder for the users in db.
func NewFinder(db *database.DB) *Finder {
	return &Finder{database.NewCoalescer(sharedKeys, database.Fetcher(db, lookup(db))).Alone(separateReads)}
}

// Keys returns users.id by external ID, without the IDs that no user of the app has.
func (f *Finder) Keys(ctx context.Context, app *models.App, ids []string) (map[string]int64, error) {
	ids = Possible(ids)
	wanted := make([]externalKey, len(ids))
	for i, id := range ids {
		wanted[i] = externalKey{app.ID, id}
	}
	found, err := f.keys.GetAll(ctx, wanted)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]int64, len(wanted))
	for _, external := range wanted { // found may have more
		if key, ok := found[external]; ok {
			keys[external.id] = key
		}
	}
	return keys, nil
}

// lookup reads users.id from the index on external IDs.
func lookup(db *database.DB) database.Lookup[externalKey, int64] {
	return database.Lookup[externalKey, int64]{
		What: "users",
		Text: func(n int) string {
			return "SELECT app_id, external_id, id FROM " + db.Using("users", "users_app_external") +
				" WHERE " + db.Among(n, "app_id", "external_id")
		},
		Bind: func(args []any, key externalKey) []any { return append(args, key.appID, key.id) },
		Rows: func([]externalKey) ([]any, func() (externalKey, int64)) {
			var external externalKey
			var key int64
			return []any{&external.appID, &external.id, &key}, func() (externalKey, int64) { return external, key }
		},
	}
}
