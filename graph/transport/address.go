package transport

import (
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/admission"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/ratelimit"
)

const (
	// addressRetry is the retry delay for a client whose address has too many connections.
	addressRetry = 10 * time.Second
	// addressWarning is how often a refusal is logged.
	addressWarning = time.Minute
)

// addresses limits how many connections each client address has, and how many it opens in a second. A nil
// *addresses sets no limit.
type addresses struct {
	limit             int            // 0: no limit
	rate              ratelimit.Rule // Limit 0: no limit
	opened            *ratelimit.Local
	seed              maphash.Seed // of the addresses' keys in opened
	tooMany, tooOften prometheus.Counter
	client            func(*http.Request) string
	log               *slog.Logger

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
	if cfg.ConnectionsPerAddress == 0 && cfg.ConnectsPerAddress == 0 {
		return nil
	}
	return &addresses{
		limit:  cfg.ConnectionsPerAddress,
		rate:   ratelimit.Rule{Name: "connects", Limit: cfg.ConnectsPerAddress, Window: time.Second},
		opened: ratelimit.NewLocal(cfg.Clock), seed: maphash.MakeSeed(),
		tooMany: cfg.Refusals.Counter(admission.LimitOpen), tooOften: cfg.Refusals.Counter(admission.LimitConnectsAddress),
		client: cfg.ClientAddress, log: cfg.Logger, open: make(map[string]*address),
	}
}

// enter counts a connection until leave. It returns RATE_LIMITED if its address already has the
// maximum, or has opened too many in the last second.
func (a *addresses) enter(r *http.Request) (*address, error) {
	if a == nil {
		return nil, nil
	}
	name := clientaddr.Network(a.client(r))
	if a.rate.Limit > 0 {
		wait, _ := a.opened.Allow(r.Context(), a.rate, int64(maphash.String(a.seed, name)), 1) // Local returns no error
		if wait > 0 {
			a.tooOften.Inc()
			a.mu.Lock()
			defer a.mu.Unlock()
			a.warn(name, "ROLLCALL_CONNECTS_PER_ADDRESS", a.rate.Limit)
			return nil, fault.TooOften(wait, "this address may connect at most %d times a second", a.rate.Limit)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.open[name]
	if at == nil {
		at = &address{name: name}
		a.open[name] = at
	}
	if a.limit > 0 && at.open >= a.limit {
		a.tooMany.Inc()
		a.warn(name, "ROLLCALL_CONNECTIONS_PER_ADDRESS", a.limit)
		return nil, fault.TooOften(addressRetry, "this address already has the maximum of %d connections", a.limit)
	}
	at.open++
	return at, nil
}

// warn logs a refusal, unless one was logged recently. The lock must be held.
func (a *addresses) warn(name, setting string, limit int) {
	if now := time.Now(); now.Sub(a.warned) >= addressWarning {
		a.warned = now
		a.log.Warn("connections of an address are refused; if it is a proxy, add it to ROLLCALL_TRUSTED_PROXIES",
			"address", name, setting, limit)
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
