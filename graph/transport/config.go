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
	"rollcall/internal/outage"
	"rollcall/internal/presence"
	"rollcall/models"
)

// The headers that are Rollcall's own.
const (
	headerRequestID = "X-Request-Id"
	headerPlatform  = "X-Platform"
)

// Authenticator says who asks; *auth.Authenticator is one.
type Authenticator interface {
	// Authenticate reads an Authorization header: "" is a guest's. It fails with
	// UNAUTHENTICATED or USER_BANNED, or because it could not find out. What it
	// answers may still have to be confirmed, which fails likewise.
	Authenticate(ctx context.Context, authorization string) (*auth.Principal, error)
	// Reauthenticate returns p as it is now, for one more operation on its connection. If it fails,
	// ended reports whether the connection must be closed, too.
	Reauthenticate(ctx context.Context, p *auth.Principal) (now *auth.Principal, ended bool, err error)
	// Refresh returns p as it is now, for an event on its connection.
	Refresh(ctx context.Context, p *auth.Principal) (*auth.Principal, error)
	// Ended returns for each of these App Servers whether its connection must end.
	Ended(ctx context.Context, appServers []*auth.Principal) ([]auth.Ending, error)
}

// Presence registers devices; *presence.Hub is one.
type Presence interface {
	// Admit registers the device of a user of whom a token tells no more than the
	// key, Connect that of one who has been read.
	Admit(ctx context.Context, userID int64, platform models.Platform, link presence.Link,
		who func(context.Context) (presence.Account, error)) (*presence.Device, error)
	Connect(ctx context.Context, acc presence.Account, platform models.Platform, link presence.Link,
		check func(context.Context) error) (*presence.Device, error)
}

// Config is what a Server needs. Executor, Auth, Presence, Present and Logger are
// required.
type Config struct {
	Executor graphql.GraphExecutor
	Auth     Authenticator
	Presence Presence
	// Present turns any error into one for the caller.
	Present func(ctx context.Context, err error) *gqlerror.Error
	Logger  *slog.Logger
	// Connections records the connections of App Servers; nil: they are not recorded.
	Connections Connections
	// SharedByAll says of a subscription that all callers of one kind in an app
	// are sent the same bytes for the same event, so that it is executed once for
	// all of them. nil: of none; only one user's devices share.
	SharedByAll func(op *ast.OperationDefinition) bool
	// AllowedOrigins are the origins, such as https://chat.example.com, whose pages
	// may call besides those of the server's own host; "*" is all.
	AllowedOrigins []string
	// Clock returns the time by which tokens expire; nil: time.Now.
	Clock func() time.Time
	// HeartbeatTimeout is how long a WebSocket's client may be silent; it is asked
	// for a sign of life three times as often. 0: 400 s.
	HeartbeatTimeout time.Duration
	// LimitConnects counts a device that connects for the user with that users.id. It returns
	// RATE_LIMITED if there are too many. nil: there is no limit.
	LimitConnects func(ctx context.Context, userID int64) error
	// ConnectionsPerAddress is how many WebSockets and SSE streams a client address may have open,
	// where an IPv6 address counts by its /64 network. 0: there is no limit.
	ConnectionsPerAddress int
	// ClientAddress returns the client's address. nil: the address of the connection's other end.
	ClientAddress func(*http.Request) string
	// PersistedQueries reports whether documents are stored for clients that send only their hash.
	PersistedQueries bool
	// Metrics is where the transports' metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
	// Limits are the limits against abuse; those that are 0 have their defaults.
	Limits Limits
}

// Limits bound what one caller can make the server hold or wait for.
type Limits struct {
	// MessageBytes bounds an HTTP body and a WebSocket message. 1 MiB.
	MessageBytes int
	// GuestBytes bounds those of a guest, and of a WebSocket that has not been acknowledged. 64 KiB.
	GuestBytes int
	// ReceivingBytes bounds the memory of all bodies and messages that are being received. 64 MiB.
	ReceivingBytes int
	// GuestWorkBytes bounds the memory that the operations of guests take while they are executed,
	// as far as it can be told from their length; others wait. 12 MiB.
	GuestWorkBytes int
	// MessageTimeout is how long a WebSocket message of more than 4 KiB may take to arrive. 30 s.
	MessageTimeout time.Duration
	// PersistedBytes bounds the stored documents of all apps. 16 MiB.
	PersistedBytes int
	// InitTimeout is how long a WebSocket may take to send connection_init. 10 s.
	InitTimeout time.Duration
	// AuthTimeout bounds how long a caller waits to learn whether it is let in. 8 s.
	AuthTimeout time.Duration
	// Operations is how many may run at once on one WebSocket. 100.
	Operations int
	// QueueBytes and QueueMessages bound what waits for a slow reader. 1 MiB, 4096.
	QueueBytes    int
	QueueMessages int
	// WriteTimeout is how long a reader may take for 64 KiB. 10 s.
	WriteTimeout time.Duration
	// FenceTimeout is how long events wait for an answer that holds statuses of the same
	// users. 5 s.
	FenceTimeout time.Duration
	// CloseTimeout is how long a WebSocket that was told to close may take. 5 s.
	CloseTimeout time.Duration
	// KeepAlive is how often an SSE stream without events gets a comment. 12 s.
	KeepAlive time.Duration
}

func (l *Limits) setDefaults() {
	setDefault(&l.MessageBytes, 1<<20)
	setDefault(&l.GuestBytes, 64<<10)
	setDefault(&l.ReceivingBytes, 64<<20)
	setDefault(&l.GuestWorkBytes, 12<<20)
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
	setDefault(&l.KeepAlive, 12*time.Second)
}

// messageBytes returns how long a body or message of the caller may be; nil is a guest.
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
