package vitals

import (
	"context"
	"strings"
	"sync"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/redis"
	"rollcall/models"
)

const (
	// lookInterval is the time between two looks at the database or Redis.
	lookInterval = time.Second
	// lookTimeout is how long one look waits. Together with lookInterval it bounds how long an outage
	// is unknown.
	lookTimeout = time.Second
)

// Server is the database or Redis as this node sees it.
type Server struct {
	// Product is its name and version, such as "MariaDB 11.8.3", or "" if that is unknown.
	Product string
	// Away reports whether it does not respond. Since is since when it has been in this state, and
	// Seen when it last responded. Both are 0 before the first look.
	Away        bool
	Since, Seen models.Time
	// RoundTrip is how long the last response took, or 0 while the server is away.
	RoundTrip time.Duration
}

// watched looks at a server.
type watched struct {
	look    func(ctx context.Context) error
	product func(ctx context.Context) (string, error)
	clock   func() time.Time

	mu    sync.Mutex
	state Server
}

// run looks until ctx ends.
func (w *watched) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.once(ctx)
		select {
		case <-time.After(lookInterval):
		case <-ctx.Done():
		}
	}
}

// once looks once.
func (w *watched) once(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	begun := time.Now()
	err := w.look(look)
	took := time.Since(begun)
	if ctx.Err() != nil {
		return
	}
	s := w.server()
	if away := err != nil; away != s.Away || s.Since == 0 {
		s.Away, s.Since = away, models.TimeOf(w.clock())
		s.Product = "" // it may come back as another one
	}
	s.RoundTrip = 0
	if err == nil {
		s.Seen, s.RoundTrip = models.TimeOf(w.clock()), took
		if s.Product == "" {
			s.Product, _ = w.product(look) // it may be forbidden to ask
		}
	}
	w.mu.Lock()
	w.state = s
	w.mu.Unlock()
}

// server returns the result of the last look.
func (w *watched) server() Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// databaseProduct returns the name and version of the database.
func databaseProduct(ctx context.Context, db *database.DB) (string, error) {
	query, name := "SELECT sqlite_version()", "SQLite"
	if db.Dialect() == database.MySQL {
		query, name = "SELECT VERSION()", "MySQL"
	}
	var version string
	if err := db.Read(ctx).Raw(query).Scan(&version).Error; err != nil {
		return "", err
	}
	// MariaDB reports such as "11.8.3-MariaDB-0+deb13u1", and TiDB "8.0.11-TiDB-v8.5.0".
	if number, _, is := strings.Cut(version, "-MariaDB"); is {
		name, version = "MariaDB", number
	} else if _, number, is := strings.Cut(version, "-TiDB-"); is {
		name, version = "TiDB", number
	}
	return name + " " + version, nil
}

// redisProduct returns the name and version of Redis.
func redisProduct(ctx context.Context, client *redis.Client) (string, error) {
	info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return "", err
	}
	product := ""
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			if product == "" {
				product = "Redis " + value
			}
		case "valkey_version": // besides the version of Redis that it is compatible with
			product = "Valkey " + value
		}
	}
	return product, nil
}
