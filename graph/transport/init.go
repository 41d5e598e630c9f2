package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// init authenticates the client and registers a user's device.
func (c *conn) init(req request) error {
	if c.initialised {
		return closeSecondInit
	}
	c.initialised = true
	init, err := readInit(req.payload)
	if err != nil {
		return err
	}
	ctx := requestid.With(context.Background(), c.id)
	var claimed, principal *auth.Principal
	err = c.inTime(ctx, func(ctx context.Context) (err error) {
		claimed, err = c.server.cfg.Auth.Authenticate(ctx, init.authorization)
		return err
	})
	if err == nil {
		err = c.server.awaitConnect(ctx, claimed)
	}
	if err == nil {
		err = c.inTime(ctx, func(ctx context.Context) (err error) {
			principal, err = c.connect(ctx, init, claimed)
			return err
		})
	}
	if err != nil {
		if how, ok := errors.AsType[closing](err); ok {
			return how
		}
		how := closingFor(err)
		switch how {
		case closeInternal:
			c.server.log.ErrorContext(ctx, "connection_init failed", "requestId", c.id, "error", err)
		case closeUnavailable:
			c.server.outages.Warn(ctx, "connection_init failed; the client should retry", "requestId", c.id, "error", err)
		}
		return how
	}
	_ = c.sock.SetReadDeadline(time.Time{}) // fails only on a broken link
	if c.out.isClosed() {
		// The overwritten deadline may have been the one that close had set.
		return net.ErrClosed
	}
	c.mu.Lock()
	c.principal = principal
	c.mu.Unlock()
	if c.device != nil {
		c.server.cfg.Apps.Devices(principal.AppID(), 1)
	}
	c.send(ackMessage())
	c.expiry = c.server.expiries.add(c, principal.ExpiresAt())
	c.server.appLinks.add(c, principal, "websocket", c.peer)
	c.server.checkToken(principal, c)
	return nil
}

// inTime runs a part of the handshake, and closes the connection if that takes longer than AuthTimeout.
func (c *conn) inTime(ctx context.Context, do func(context.Context) error) error {
	limit := c.server.cfg.Limits.AuthTimeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Not everything ends with ctx: a statement that waits for a lock does not.
	defer time.AfterFunc(limit, func() { c.close(closeUnavailable) }).Stop()
	return do(ctx)
}

// connect returns the principal, as which the client claims to connect, of a connection that may be
// opened.
func (c *conn) connect(ctx context.Context, init initPayload, claimed *auth.Principal) (principal *auth.Principal, err error) {
	cfg := &c.server.cfg
	switch claimed.Kind {
	case auth.Guest:
		return nil, closeNoToken
	case auth.User:
		c.device, err = cfg.Presence.ConnectByID(ctx, claimed.UserID(), models.PlatformOf(init.platform), c,
			func(ctx context.Context) (acc status.Account, err error) {
				first := principal == nil // it may be called again for the same device
				if principal, err = c.server.confirmed(ctx, init.authorization); err != nil {
					return acc, err
				}
				if first {
					err = c.server.limitConnects(ctx, principal)
				}
				return principal.Account(), err
			})
		if err != nil {
			return nil, fmt.Errorf("connect the device: %w", err)
		}
	default:
		if principal, err = claimed.Confirmed(ctx); err != nil {
			return nil, fmt.Errorf("authenticate: %w", err)
		}
	}
	return principal, nil
}

// awaitConnect waits for the turn of a connecting device, if the caller is a user. Returns RATE_LIMITED
// if too many devices of the app wait, and errDraining if the server stops meanwhile.
func (s *Server) awaitConnect(ctx context.Context, caller *auth.Principal) error {
	if caller.Kind != auth.User || s.cfg.AwaitConnect == nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.serving, func() { cancel(errDraining) })()
	err := s.cfg.AwaitConnect(ctx, caller)
	if errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// limitConnects returns RATE_LIMITED if the user connects devices too often.
func (s *Server) limitConnects(ctx context.Context, user *auth.Principal) error {
	if s.cfg.LimitConnects == nil {
		return nil
	}
	return s.cfg.LimitConnects(ctx, user)
}

// confirmed returns the principal of this Authorization header, as stored in the database now. Each
// call reads it again: the caller must have registered the connection for revocations before.
func (s *Server) confirmed(ctx context.Context, authorization string) (*auth.Principal, error) {
	principal, err := s.cfg.Auth.Authenticate(ctx, authorization)
	if err != nil {
		return nil, err
	}
	return principal.Confirmed(ctx)
}
