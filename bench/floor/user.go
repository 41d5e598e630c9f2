package floor

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// userConns is the same as the server's, so that nobody waits to connect.
const userConns = 64

// newUser is the floor of row 1: it reads the same request, compares the token
// with a constant, asks the database with one prepared statement and writes the
// same JSON.
func newUser(ctx context.Context, args []string) (http.Handler, error) {
	flags := flag.NewFlagSet("user", flag.ContinueOnError)
	dsn := flags.String("dsn", "", "of the database")
	token := flags.String("token", "", "that is accepted")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", *dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(userConns)
	db.SetMaxIdleConns(userConns)
	var app int64
	if err := db.QueryRowContext(ctx, "SELECT id FROM apps WHERE name = 'bench'").Scan(&app); err != nil {
		return nil, fmt.Errorf("finding the app: %w", err)
	}
	byID, err := db.PrepareContext(ctx, "SELECT external_id, name, avatar_url FROM users WHERE app_id = ? AND external_id = ?")
	if err != nil {
		return nil, err
	}
	return &userHandler{app: app, authorization: []byte("Bearer " + *token), byID: byID}, nil
}

type userHandler struct {
	app           int64
	authorization []byte
	byID          *sql.Stmt
}

type userRequest struct {
	Variables struct {
		ID string `json:"id"`
	} `json:"variables"`
}

type userAnswer struct {
	Data struct {
		User *user `json:"user"`
	} `json:"data"`
}

type user struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	AvatarURL *string `json:"avatarUrl"`
}

func (h *userHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), h.authorization) != 1 {
		http.Error(w, "unauthenticated", http.StatusUnauthorized)
		return
	}
	var req userRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	var answer userAnswer
	var found user
	err := h.byID.QueryRowContext(r.Context(), h.app, req.Variables.ID).Scan(&found.ID, &found.Name, &found.AvatarURL)
	switch {
	case err == nil:
		answer.Data.User = &found
	case !errors.Is(err, sql.ErrNoRows):
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
}
