package transport

import (
	"context"
	"sync"
	"time"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
)

// appLinkInterval is how often the apps of connected App Servers are read while there are any:
// another node or a command may have rotated a secret.
const appLinkInterval = time.Second

// appLink is an App Server's WebSocket or SSE stream. It must end when its app's secret is rotated,
// because it carries everything that happens in the app.
type appLink interface {
	// revoke ends the link because its token is no longer good. It does not wait.
	revoke()
}

// appLinks are the App Servers' links of this node.
type appLinks struct {
	auth Authenticator
	// wake has room for one signal to check the links now.
	wake chan struct{}

	mu    sync.Mutex
	links map[appLink]*auth.Principal
}

func newAppLinks(a Authenticator) *appLinks {
	return &appLinks{auth: a, wake: make(chan struct{}, 1), links: make(map[appLink]*auth.Principal)}
}

// add checks l from now on, until remove. It does nothing for principals other than App Servers.
func (a *appLinks) add(l appLink, p *auth.Principal) {
	if p.Kind != auth.AppServer {
		return
	}
	a.mu.Lock()
	a.links[l] = p
	a.mu.Unlock()
	// The secret may have been rotated since the token was confirmed.
	a.check()
}

func (a *appLinks) remove(l appLink) {
	a.mu.Lock()
	delete(a.links, l)
	a.mu.Unlock()
}

// check makes run check the links now.
func (a *appLinks) check() {
	select {
	case a.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// run checks the links until ctx ends. failed is called with errors; the next check makes up for
// them.
func (a *appLinks) run(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(appLinkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		if err := a.revokeEnded(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

// revokeEnded ends the links whose tokens have been revoked.
func (a *appLinks) revokeEnded(ctx context.Context) error {
	a.mu.Lock()
	links := make([]appLink, 0, len(a.links))
	principals := make([]*auth.Principal, 0, len(a.links))
	for l, p := range a.links {
		links, principals = append(links, l), append(principals, p)
	}
	a.mu.Unlock()
	if len(links) == 0 {
		return nil
	}
	ended, err := a.auth.Ended(ctx, principals)
	if err != nil {
		return err
	}
	for i, l := range links {
		if ended[i] {
			l.revoke()
		}
	}
	return nil
}

// CheckAppLinks makes the server check soon whether the tokens of connected App Servers have been
// revoked. Without it, a revocation takes effect within a second.
func (s *Server) CheckAppLinks() { s.appLinks.check() }

// errTokenEnded ends an SSE stream whose token has expired or been revoked.
var errTokenEnded = fault.New(fault.Unauthenticated, "the token has expired or was revoked")

// atExpiry calls end when the principal's token expires. The timer that it returns must be stopped;
// nil: the token does not expire.
func (s *Server) atExpiry(p *auth.Principal, end func()) *time.Timer {
	at := p.ExpiresAt()
	if at == 0 {
		return nil
	}
	return time.AfterFunc(at.Time().Sub(s.cfg.Clock()), end)
}

func (c *conn) revoke() { c.retire(closeTokenEnded) }

func (st *sseStream) revoke() {
	st.finish(func() []byte { return st.failure(errTokenEnded) })
}
