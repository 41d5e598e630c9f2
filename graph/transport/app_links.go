package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rollcall/graph/auth"
	"rollcall/models"
)

const (
	// appLinkInterval is how often the connections of App Servers are checked and recorded: another
	// node or a command may have rotated a secret or closed a connection, or the overlap of a
	// rotation may have ended.
	appLinkInterval = time.Second
	// appLinkPause is the minimum time between two checks, however often one is requested.
	appLinkPause = 50 * time.Millisecond
	// appLinksLeave limits how long a stopping server takes to delete its records.
	appLinksLeave = 2 * time.Second
)

// Connections records the connections of App Servers, so that operators can list and close those of
// all nodes. It is implemented by *appconnections.Node.
type Connections interface {
	// Sync records these connections as the open ones. A connection has the same pointer in every
	// call.
	Sync(ctx context.Context, open []*models.AppConnection) error
	// Closing returns the connections that must be closed.
	Closing(ctx context.Context) ([]*models.AppConnection, error)
	// Leave deletes all records.
	Leave(ctx context.Context) error
}

// link is a WebSocket or an SSE stream.
type link interface {
	// endLink ends the link. It does not wait.
	endLink(why linkEnding)
}

// appLinks are the links of App Servers to this node. Such a link carries everything that happens
// in the app, so it must end with the secret under which its token was issued, and when an operator
// closes it.
type appLinks struct {
	auth Authenticator
	// records is nil if links are not recorded.
	records Connections
	clock   func() time.Time
	// wake has room for one signal to check the links immediately.
	wake chan struct{}

	mu    sync.Mutex
	links map[link]openLink
}

// openLink is a link with its record.
type openLink struct {
	principal *auth.Principal
	record    *models.AppConnection
}

func newAppLinks(cfg *Config) *appLinks {
	return &appLinks{
		auth: cfg.Auth, records: cfg.Connections, clock: cfg.Clock,
		wake: make(chan struct{}, 1), links: make(map[link]openLink),
	}
}

// add starts checking l, until remove. It does nothing for principals other than App Servers. The
// principal's app must be loaded.
func (a *appLinks) add(l link, p *auth.Principal, transport string, from peer) {
	if p.Kind != auth.AppServer {
		return
	}
	record := &models.AppConnection{
		AppID: p.App.ID, Transport: transport, Address: from.address, UserAgent: from.userAgent.Value(),
		Generation: p.App.ConnectionGeneration, ConnectedAt: models.TimeOf(a.clock()),
	}
	a.mu.Lock()
	a.links[l] = openLink{p, record}
	a.mu.Unlock()
	// The secret may have been rotated since the token was confirmed.
	a.check()
}

func (a *appLinks) remove(l link) {
	a.mu.Lock()
	delete(a.links, l)
	a.mu.Unlock()
}

// check makes run check the links immediately.
func (a *appLinks) check() {
	select {
	case a.wake <- struct{}{}:
	default: // a signal is already pending
	}
}

// run checks and records the links until ctx ends, and then deletes the records. It calls failed
// with each error; the next check retries.
func (a *appLinks) run(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(appLinkInterval)
	defer ticker.Stop()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appLinksLeave)
		defer cancel()
		if err := a.leave(ctx); err != nil {
			failed(err)
		}
	}()
	for {
		record := false
		select {
		case <-ticker.C:
			record = true
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		if err := a.pass(ctx, record); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-time.After(appLinkPause):
		case <-ctx.Done():
			return
		}
	}
}

// pass ends the links that must end, and records the others if record is set.
func (a *appLinks) pass(ctx context.Context, record bool) error {
	a.mu.Lock()
	links := make([]link, 0, len(a.links))
	principals := make([]*auth.Principal, 0, len(a.links))
	records := make([]*models.AppConnection, 0, len(a.links))
	for l, open := range a.links {
		links = append(links, l)
		principals, records = append(principals, open.principal), append(records, open.record)
	}
	a.mu.Unlock()
	err := a.endEnded(ctx, links, principals)
	if a.records == nil {
		return err
	}
	if record {
		err = errors.Join(err, a.records.Sync(ctx, records))
	}
	if len(links) == 0 {
		return err
	}
	return errors.Join(err, a.endClosing(ctx, links, records))
}

// endEnded ends the links whose tokens have been revoked, and those of apps that were disabled or all
// of whose connections were closed.
func (a *appLinks) endEnded(ctx context.Context, links []link, principals []*auth.Principal) error {
	if len(links) == 0 {
		return nil
	}
	endings, err := a.auth.Ended(ctx, principals)
	if err != nil {
		return fmt.Errorf("checking tokens: %w", err)
	}
	for i, l := range links {
		switch endings[i] {
		case auth.TokenRevoked:
			l.endLink(tokenEnded)
		case auth.AppDisabled:
			l.endLink(appDisabled)
		case auth.OperatorClosed:
			l.endLink(operatorClosed)
		}
	}
	return nil
}

// endClosing ends the links that an operator has closed individually.
func (a *appLinks) endClosing(ctx context.Context, links []link, records []*models.AppConnection) error {
	closing, err := a.records.Closing(ctx)
	if err != nil || len(closing) == 0 {
		return err
	}
	must := make(map[*models.AppConnection]struct{}, len(closing))
	for _, record := range closing {
		must[record] = struct{}{}
	}
	for i, l := range links {
		if _, ok := must[records[i]]; ok {
			l.endLink(operatorClosed)
		}
	}
	return nil
}

func (a *appLinks) leave(ctx context.Context) error {
	if a.records == nil {
		return nil
	}
	return a.records.Leave(ctx)
}

// CheckAppLinks makes the server check promptly whether connections of App Servers must end,
// because a token was revoked or an operator has closed some. Without it, the check happens within
// a second.
func (s *Server) CheckAppLinks() { s.appLinks.check() }

// CheckTokens ends all links whose tokens have expired or were signed with a retired key.
func (s *Server) CheckTokens() {
	s.mu.Lock()
	conns, streams := slices.Collect(maps.Keys(s.conns)), slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		p := c.principal
		c.mu.Unlock()
		s.checkToken(p, c)
	}
	for _, st := range streams {
		st.mu.Lock()
		p := st.principal
		st.mu.Unlock()
		s.checkToken(p, st)
	}
}

// checkToken ends l if its principal's token has ended. A link calls it once its principal is set,
// because an earlier CheckTokens may have missed the link.
func (s *Server) checkToken(p *auth.Principal, l link) {
	if p != nil && p.TokenEnded(models.TimeOf(s.cfg.Clock())) {
		l.endLink(tokenEnded)
	}
}

func (c *conn) endLink(why linkEnding) { c.retire(why.closing) }

func (st *sseStream) endLink(why linkEnding) {
	st.finish(func() []byte { return st.failure(why.err) })
}
