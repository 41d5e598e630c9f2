//go:build linux

package kit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// World is an app with users in a database of its own on MariaDB.
type World struct {
	lab *Lab
	// Database is its ROLLCALL_DATABASE_URL.
	Database string
	// Users is how many users there are, UserID(1) to UserID(Users).
	Users int

	key, secret string
	tokens      []string // of the first users
}

// UserID is the ID of the nth user, from 1.
func UserID(n int) string { return fmt.Sprintf("user-%07d", n) }

// World answers the world that the rows share, with that many users at least: a
// PRODUCTION app in the FLAGSHIP edition, both status switches on.
func (l *Lab) World(ctx context.Context, users int) (*World, error) {
	if l.world == nil {
		w, err := l.newWorld(ctx)
		if err != nil {
			return nil, err
		}
		l.world = w
	}
	return l.world, l.world.grow(ctx, users)
}

func (l *Lab) newWorld(ctx context.Context) (*World, error) {
	database, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	out, err := l.command(ctx, database, "app", "create", "--name", "bench", "--environment", "production", "--edition", "flagship", "--json")
	if err != nil {
		return nil, err
	}
	var app struct{ Key, Secret string }
	if err := json.Unmarshal(out, &app); err != nil {
		return nil, fmt.Errorf("reading the app: %w", err)
	}
	_, err = l.command(ctx, database, "app", "set", app.Key, "statusQueryEnabled=true", "friendStatusNotifyEnabled=true")
	return &World{lab: l, Database: database, key: app.Key, secret: app.Secret}, err
}

func (w *World) grow(ctx context.Context, users int) error {
	if users <= w.Users {
		return nil
	}
	w.lab.Log("making %d users", users)
	if _, err := w.lab.command(ctx, w.Database, "seed", "--app", w.key, "--users", fmt.Sprint(users)); err != nil {
		return err
	}
	w.Users = users
	return nil
}

// AppToken has a server on the world's database issue an app token.
func (w *World) AppToken(ctx context.Context, s *Server) (string, error) {
	var data struct{ IssueAppToken struct{ Token string } }
	err := s.Ask(ctx, "", `mutation($key: ID!, $secret: String!) { issueAppToken(input: {appKey: $key, appSecret: $secret}) { token } }`,
		map[string]any{"key": w.key, "secret": w.secret}, &data)
	return data.IssueAppToken.Token, err
}

const (
	// registrations is how many users one request gives a token.
	registrations = 100
	registrars    = 4
)

// UserTokens answers a token for each of the first n users. They come from a
// server that ends before UserTokens answers, so that what it took to make them
// is nowhere in a measured process.
func (w *World) UserTokens(ctx context.Context, n int) ([]string, error) {
	if len(w.tokens) >= n {
		return w.tokens[:n], nil
	}
	if err := w.grow(ctx, n); err != nil {
		return nil, err
	}
	w.lab.Log("issuing %d user tokens", n)
	s, err := w.lab.Serve(ctx, w.Database)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	appToken, err := w.AppToken(ctx, s)
	if err != nil {
		return nil, err
	}
	tokens := make([]string, n)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for r := range registrars {
		wg.Go(func() {
			for first := r * registrations; first < n && ctx.Err() == nil; first += registrars * registrations {
				if err := register(ctx, s, appToken, tokens[first:min(first+registrations, n)], first); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	w.tokens = tokens
	return tokens, nil
}

// register fills tokens with those of the users from number first+1 on.
func register(ctx context.Context, s *Server, appToken string, tokens []string, first int) error {
	var query strings.Builder
	query.WriteString("mutation {")
	for i := range tokens {
		fmt.Fprintf(&query, " u%d: registerUser(input: {id: %q, name: %q}) { token }", i, UserID(first+i+1), "User of the bench")
	}
	query.WriteString(" }")
	data := make(map[string]struct{ Token string }, len(tokens))
	if err := s.Ask(ctx, appToken, query.String(), nil, &data); err != nil {
		return err
	}
	for i := range tokens {
		tokens[i] = data[fmt.Sprintf("u%d", i)].Token
	}
	return nil
}
