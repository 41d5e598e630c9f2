//go:build linux

package kit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// World is an app with users in a database of its own.
type World struct {
	lab *Lab
	// Database is its ROLLCALL_DATABASE_URL.
	Database string
	// Users is the number of users, UserID(1) to UserID(Users).
	Users int
	// Friends is how many friends each user has. Those of user n are n-Friends/2 to n+Friends/2, in
	// a ring.
	Friends int

	rules       bool // Rules has been called
	key, secret string
	tokens      []string // of the first users
}

// UserID returns the ID of the nth user, from 1.
func UserID(n int) string { return fmt.Sprintf("user-%07d", n) }

// World returns the world that the rows about requests share, with at least that many users. Its
// app is a PRODUCTION app in edition FLAGSHIP with both status switches on.
func (l *Lab) World(ctx context.Context, users int) (*World, error) {
	if err := l.found(ctx, &l.world); err != nil {
		return nil, err
	}
	return l.world, l.world.grow(ctx, users)
}

// Strangers returns the world that the rows about devices share. It is like that of World, but its
// users never become friends, so the memory of a device does not depend on earlier rows.
func (l *Lab) Strangers(ctx context.Context) (*World, error) {
	err := l.found(ctx, &l.strangers)
	return l.strangers, err
}

// found creates a shared world on MariaDB if it does not exist yet.
func (l *Lab) found(ctx context.Context, world **World) error {
	if *world != nil {
		return nil
	}
	database, err := l.Database(ctx)
	if err != nil {
		return err
	}
	*world, err = l.NewWorld(ctx, database, 0)
	return err
}

// NewWorld creates a world of its own in a database, with that many users.
func (l *Lab) NewWorld(ctx context.Context, database string, users int) (*World, error) {
	out, err := l.command(ctx, database, "app", "create", "--name", "bench", "--environment", "production", "--edition", "flagship", "--json")
	if err != nil {
		return nil, err
	}
	var app struct{ Key, Secret string }
	if err := json.Unmarshal(out, &app); err != nil {
		return nil, fmt.Errorf("reading the app: %w", err)
	}
	w := &World{lab: l, Database: database, key: app.Key, secret: app.Secret}
	if err := w.set(ctx, "statusQueryEnabled=true", "friendStatusNotifyEnabled=true"); err != nil {
		return nil, err
	}
	return w, w.grow(ctx, users)
}

func (w *World) set(ctx context.Context, settings ...string) error {
	_, err := w.lab.command(ctx, w.Database, append([]string{"app", "set", w.key}, settings...)...)
	return err
}

// Webhook creates an endpoint that receives all events. A server must have been started on the
// database before.
func (w *World) Webhook(ctx context.Context, url string) error {
	_, err := w.lab.command(ctx, w.Database, "webhook", "create", w.key, url, "--webhook-allow-private")
	return err
}

// Befriend gives each user that many friends.
func (w *World) Befriend(ctx context.Context, friends int) error {
	if friends <= w.Friends {
		return nil
	}
	w.lab.Log("making %d friendships", w.Users*friends/2)
	if _, err := w.lab.command(ctx, w.Database, "seed", "--app", w.key, "--users", fmt.Sprint(w.Users), "--friends", fmt.Sprint(friends)); err != nil {
		return err
	}
	w.Friends = friends
	return w.analyse(ctx)
}

// Rules makes every rule about messages apply, on MariaDB: only friends may write, an eighth of the
// users have their whitelist on, with a quarter of their friends, and another eighth have a quarter
// of theirs on the blocklist.
func (w *World) Rules(ctx context.Context) error {
	if w.rules {
		return nil
	}
	w.rules = true
	w.lab.Log("making blocklists and whitelists")
	if err := w.set(ctx, "onlyFriendsCanMessage=true"); err != nil {
		return err
	}
	err := w.lab.Exec(ctx, w.Database,
		`INSERT INTO whitelist_entries (user_id, created_at, allowed_id)
			SELECT user_id, created_at, friend_id FROM friendships WHERE user_id % 8 = 0 AND friend_id % 4 = 0`,
		`INSERT INTO blocks (user_id, created_at, blocked_id)
			SELECT user_id, created_at, friend_id FROM friendships WHERE user_id % 8 = 1 AND friend_id % 4 = 0`,
		`UPDATE users JOIN (SELECT user_id, COUNT(*) AS n FROM whitelist_entries GROUP BY user_id) w ON w.user_id = users.id
			SET whitelist_enabled = 1, whitelist_count = w.n`,
		`UPDATE users JOIN (SELECT user_id, COUNT(*) AS n FROM blocks GROUP BY user_id) b ON b.user_id = users.id
			SET block_count = b.n`)
	if err != nil {
		return err
	}
	return w.analyse(ctx)
}

// analyse updates MariaDB's statistics about the tables at once. It would do so by itself some
// seconds later.
func (w *World) analyse(ctx context.Context) error {
	if !strings.HasPrefix(w.Database, "mysql:") {
		return nil
	}
	return w.lab.Exec(ctx, w.Database, "ANALYZE TABLE users, friendships, blocks, whitelist_entries")
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
	return w.analyse(ctx)
}

// AppToken lets a server on the world's database issue an app token.
func (w *World) AppToken(ctx context.Context, s *Server) (string, error) {
	var data struct{ IssueAppToken struct{ Token string } }
	err := s.Ask(ctx, "", `mutation($key: ID!, $secret: String!) { issueAppToken(input: {appKey: $key, appSecret: $secret}) { token } }`,
		map[string]any{"key": w.key, "secret": w.secret}, &data)
	return data.IssueAppToken.Token, err
}

const (
	// registrations is how many users get a token in one request.
	registrations = 100
	registrars    = 4
)

// UserTokens returns a token for each of the first n users. They are issued by a server that stops
// before UserTokens returns, so that the work does not count in a measured process.
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
