package transport

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/auth"
	"rollcall/internal/admission"
	"rollcall/internal/appmetrics"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
	"rollcall/internal/tracing"
	"rollcall/internal/trusted"
	"rollcall/models"
)

// Headers that are Rollcall's own.
const (
	headerRequestID = "X-Request-Id"
	headerPlatform  = "X-Platform"
)

// Authenticator identifies callers. It is implemented by *auth.Authenticator.
type Authenticator interface {
	// Authenticate returns the principal of an Authorization header; "" is a guest's. Returns
	// fault.Unauthenticated or fault.UserBanned, or another error if it could not find out. The
	// principal may still have to be confirmed, which can fail with the same errors.
	Authenticate(ctx context.Context, authorization string) (*auth.Principal, error)
	// Reauthenticate returns p's current state, for one more operation on its connection. If it
	// fails, ended reports whether the connection must be closed, too.
	Reauthenticate(ctx context.Context, p *auth.Principal) (now *auth.Principal, ended bool, err error)
	// Refresh returns p's current state, for an event on its connection.
	Refresh(ctx context.Context, p *auth.Principal) (*auth.Principal, error)
	// Ended returns, for each of these App Servers, whether its connection must end.
	Ended(ctx context.Context, appServers []*auth.Principal) ([]auth.Ending, error)
}

// Presence registers devices. It is implemented by *presence.Hub.
type Presence interface {
	// Connect registers a device of a user whose account has been read. ConnectByID registers one
	// if only the user's users.id is known, from a token.
	ConnectByID(ctx context.Context, userID int64, platform models.Platform, link status.Link,
		read func(context.Context) (status.Account, error)) (*status.Device, error)
	Connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
		check func(context.Context) error) (*status.Device, error)
}

// Config configures a Server. Executor, Auth, Presence, Present and Logger are required.
type Config struct {
	Executor graphql.GraphExecutor
	Auth     Authenticator
	Presence Presence
	// Present converts any error into one for the caller.
	Present func(ctx context.Context, err error) *gqlerror.Error
	Logger  *slog.Logger
	// Connections records the connections of App Servers. If nil, they are not recorded.
	Connections Connections
	// SharedByAll reports whether a subscription sends the same bytes for an event to all callers
	// of one kind in an app, so that it is executed once for all of them. If nil, no subscription
	// does; only the devices of one user share executions.
	SharedByAll func(op *ast.OperationDefinition) bool
	// AllowedOrigins are the origins, such as https://chat.example.com, whose pages may call in
	// addition to those of the server's own host; "*" means all.
	AllowedOrigins []string
	// Clock returns the time by which tokens expire. If nil, it is time.Now.
	Clock func() time.Time
	// HeartbeatTimeout is how long a WebSocket's client may be silent. If 0, it is 400 s.
	HeartbeatTimeout time.Duration
	// PingInterval is the maximum time between two pings of a WebSocket's client, and between two
	// comments in an SSE stream; a quarter of HeartbeatTimeout if that is shorter. If 0, it is 25 s,
	// which is below the 60 s after which common proxies close idle connections.
	PingInterval time.Duration
	// AwaitConnect waits for the turn of a connecting device among those of its app, before the user is
	// confirmed. Returns fault.RateLimited if too many wait. If nil, none waits.
	AwaitConnect func(ctx context.Context, user *auth.Principal) error
	// LimitConnects counts a connecting device of a user. Returns fault.RateLimited if there were too
	// many of the user. If nil, there is no limit.
	LimitConnects func(ctx context.Context, user *auth.Principal) error
	// ConnectionsPerAddress is how many WebSockets and SSE streams a client address may have open;
	// the addresses of an IPv6 /64 network count as one. If 0, there is no limit.
	ConnectionsPerAddress int
	// ConnectsPerAddress is how many WebSockets and SSE streams a client address may open in a second,
	// counted as those that are open. If 0, there is no limit.
	ConnectsPerAddress int
	// MaxRequests is how many operations with a token may be executed at the same time, and
	// MaxRequestsPerApp how many of an app's users, and of its App Server. If 0, there is no limit.
	MaxRequests, MaxRequestsPerApp int
	// ClientAddress returns the client's address. If nil, it is the remote address of the
	// connection.
	ClientAddress func(*http.Request) string
	// PersistedQueries reports whether documents are stored for clients that send only their hash.
	PersistedQueries bool
	// Trusted has the documents to which apps restrict their users. If nil, no app does.
	Trusted *trusted.Store
	// Refusals counts what is refused because of a limit. If nil, it is not registered.
	Refusals *admission.Refusals
	// Tracer begins the traces of operations on WebSockets. If nil, there are none.
	Tracer *tracing.Tracer
	// Apps counts operations and devices by app. If nil, they are not counted.
	Apps *appmetrics.Apps
	// Metrics is where the transports' metrics are registered. If nil, they are not registered.
	Metrics prometheus.Registerer
	// Limits are the limits against abuse. Those that are 0 have their defaults.
	Limits Limits
}

// Limits limit what one caller can make the server hold or wait for.
type Limits struct {
	// MessageBytes limits an HTTP body and a WebSocket message. The default is 1 MiB.
	MessageBytes int
	// GuestBytes limits those of a guest, and of a WebSocket that has not been acknowledged. The
	// default is 64 KiB.
	GuestBytes int
	// ReceivingBytes limits the memory of all bodies and messages that are being received. The
	// default is 64 MiB.
	ReceivingBytes int
	// GuestResponseBytes limits the memory of the responses to guests that are being sent, a
	// quarter of it for each site. The default is 8 MiB.
	GuestResponseBytes int
	// MessageTimeout is how long a WebSocket message of more than 4 KiB may take to arrive. The
	// default is 30 s.
	MessageTimeout time.Duration
	// PersistedBytes limits the stored documents of all apps. The default is 16 MiB.
	PersistedBytes int
	// InitTimeout is how long a WebSocket may take to send connection_init. The default is 10 s.
	// newConn sets the deadline, and conn.serve closes the connection with 4408.
	InitTimeout time.Duration
	// AuthTimeout limits how long a caller waits until it is verified or refused. The default is 8
	// s.
	AuthTimeout time.Duration
	// Operations is how many may run concurrently on one WebSocket. The default is 100.
	Operations int
	// QueueBytes and QueueMessages limit what waits for a slow reader. The defaults are 1 MiB and
	// 4096.
	QueueBytes    int
	QueueMessages int
	// WriteTimeout is how long a reader may take for 64 KiB. The default is 10 s.
	WriteTimeout time.Duration
	// FenceTimeout is how long events wait for a response that holds statuses of the same users.
	// The default is 5 s.
	FenceTimeout time.Duration
	// CloseTimeout is how long a closed WebSocket's client may take to close its side. The default
	// is 5 s.
	CloseTimeout time.Duration
}

func (l *Limits) setDefaults() {
	setDefault(&l.MessageBytes, 1<<20)
	setDefault(&l.GuestBytes, 64<<10)
	setDefault(&l.ReceivingBytes, 64<<20)
	setDefault(&l.GuestResponseBytes, 8<<20)
	setDefault(&l.MessageTimeout, 30*time.Second)
	setDefault(&l.PersistedBytes, 16<<20)
	setDefault(&l.InitTimeout, 10*time.Second)
	setDefault(&l.AuthTimeout, outage.AuthTimeout)
	setDefault(&l.Operations, 100)
	setDefault(&l.QueueBytes, 1<<20)
	setDefault(&l.QueueMessages, 4096)
	setDefault(&l.WriteTimeout, 10*time.Second)
	setDefault(&l.FenceTimeout, 5*time.Second)
	setDefault(&l.CloseTimeout, 5*time.Second)
}

// messageBytes returns the maximum length of a body or message of the caller; p is nil for a guest.
func (l *Limits) messageBytes(p *auth.Principal) int {
	if p == nil || p.Kind == auth.Guest {
		return min(l.GuestBytes, l.MessageBytes)
	}
	return l.MessageBytes
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}
