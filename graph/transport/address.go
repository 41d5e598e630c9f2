package transport

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
)

const (
	// addressRetry is the retry delay for a client whose address has too many connections.
	addressRetry = 10 * time.Second
	// addressWarning is how often a refusal is logged.
	addressWarning = time.Minute
)

// addresses limits how many connections each client address has. A nil *addresses sets no limit.
type addresses struct {
	limit  int
	client func(*http.Request) string
	log    *slog.Logger

	mu     sync.Mutex
	open   map[string]*address
	warned time.Time
}

// address is a client address with open connections.
type address struct {
	name string
	open int // guarded by addresses.mu
}

func newAddresses(cfg *Config) *addresses {
	if cfg.ConnectionsPerAddress == 0 {
		return nil
	}
	return &addresses{
		limit: cfg.ConnectionsPerAddress, client: cfg.ClientAddress, log: cfg.Logger, open: make(map[string]*address),
	}
}

// enter counts a connection until leave. It returns RATE_LIMITED if its address already has the
// maximum.
func (a *addresses) enter(r *http.Request) (*address, error) {
	if a == nil {
		return nil, nil
	}
	name := clientaddr.Network(a.client(r))
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.open[name]
	if at == nil {
		at = &address{name: name}
		a.open[name] = at
	}
	if at.open >= a.limit {
		a.warn(name)
		return nil, fault.TooOften(addressRetry, "this address already has the maximum of %d connections", a.limit)
	}
	at.open++
	return at, nil
}

// warn logs a refusal, unless one was logged recently. The lock must be held.
func (a *addresses) warn(name string) {
	if now := time.Now(); now.Sub(a.warned) >= addressWarning {
		a.warned = now
		a.log.Warn("connections of an address are refused; if it is a proxy, add it to ROLLCALL_TRUSTED_PROXIES",
			"address", name, "ROLLCALL_CONNECTIONS_PER_ADDRESS", a.limit)
	}
}

// leave ends the connection that enter counted.
func (a *addresses) leave(at *address) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.open--; at.open == 0 {
		delete(a.open, at.name)
	}
}
