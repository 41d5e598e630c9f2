package floor

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
)

// byID has the variables that name a user.
type byID struct {
	ID string `json:"id"`
}

type userData struct {
	User *user `json:"user"`
}

type user struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	AvatarURL *string `json:"avatarUrl"`
}

// newUser is the floor of row 1: it reads the same request, executes one prepared statement and
// writes the same JSON.
func newUser(ctx context.Context, args []string) (http.Handler, error) {
	a, err := newAPI(ctx, args)
	if err != nil {
		return nil, err
	}
	read, err := a.db.PrepareContext(ctx, "SELECT external_id, name, avatar_url FROM users WHERE app_id = ? AND external_id = ?")
	if err != nil {
		return nil, err
	}
	return serve(a, func(ctx context.Context, v byID) (any, error) {
		var u user
		err := read.QueryRowContext(ctx, a.app, v.ID).Scan(&u.ID, &u.Name, &u.AvatarURL)
		if errors.Is(err, sql.ErrNoRows) {
			return userData{}, nil
		}
		return userData{&u}, err
	}), nil
}
