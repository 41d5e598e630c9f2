// Package console is the operators' website: pages made by the server from
// templates, which call the same rules as the GraphQL resolvers. Everything that
// changes data is an HTML form and works without JavaScript.
//
// routes.go is the table of contents; each page has a file of its own.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/figures"
	"rollcall/internal/operators"
	"rollcall/internal/outage"
	"rollcall/internal/page"
	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/users"
	"rollcall/internal/vitals"
	"rollcall/models"
)

// Root is the path that the console is mounted at.
const Root = "/console/"

// Operators is what the console needs of the rules about operators
// (operators.Service).
type Operators interface {
	Login(ctx context.Context, in operators.LoginRequest) (*operators.Login, error)
	ByToken(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error)
	// Peek is ByToken for what a page asks by itself.
	Peek(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error)
	List(ctx context.Context) ([]*models.Operator, error)
	// Create and SetPassword answer the password, which is generated where it is "".
	// SetPassword refuses oneself by the rule of the field "operator".
	Create(ctx context.Context, name string, role models.Role, password string, by models.Actor) (string, error)
	SetPassword(ctx context.Context, name, password string, by models.Actor) (string, error)
	ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) (device string, err error)
	// Confirmed reports whether Confirm was called in the session recently.
	Confirmed(session *models.OperatorSession) bool
	// Confirm refuses a wrong password as INVALID_ARGUMENT or RATE_LIMITED.
	Confirm(ctx context.Context, operator *models.Operator, session *models.OperatorSession, password string, by models.Actor) error
	ListSessions(ctx context.Context, operatorID int64) ([]*models.OperatorSession, error)
	EndSession(ctx context.Context, operatorID, sessionID int64, by models.Actor) (bool, error)
	// EndSessions ends all but keep, and answers how many.
	EndSessions(ctx context.Context, operatorID, keep int64, by models.Actor) (int, error)
	// SetRole and Delete refuse oneself and the last admin, by the rule of the field "operator".
	SetRole(ctx context.Context, name string, role models.Role, by models.Actor) (changed bool, err error)
	Delete(ctx context.Context, name string, by models.Actor) error
	Logout(ctx context.Context, session *models.OperatorSession, by models.Actor) error
}

// Apps is what the console needs of the rules about apps (apps.Service).
type Apps interface {
	List(ctx context.Context) ([]*models.App, error)
	// ByKey answers nil for an unknown key.
	ByKey(ctx context.Context, key string) (*models.App, error)
	// UserCounts returns how many users each app has, by apps.id.
	UserCounts(ctx context.Context, list ...*models.App) (map[int64]models.UserCounts, error)
	Create(ctx context.Context, in apps.NewApp, by models.Actor) (app *models.App, secret string, err error)
	Set(ctx context.Context, key string, values map[string]string, by models.Actor) (*models.App, error)
	GrantToken(ctx context.Context, app *models.App, ttl time.Duration, by models.Actor) (token string, expires models.Time, err error)
	RotateSecret(ctx context.Context, key string, by models.Actor) (*models.App, string, error)
}

// Audit is what the console needs of the audit (audit.Log).
type Audit interface {
	List(ctx context.Context, f audit.Filter, r page.Request) (*page.Connection[*models.AuditEntry], error)
}

// Relations is what the console needs of the rules about what users are to each
// other (relations.Service).
type Relations interface {
	Friends(ctx context.Context, owner *models.User, r page.Request) (*relations.FriendshipConnection, error)
	Requests(ctx context.Context, owner *models.User, incoming bool, r page.Request) (*relations.FriendRequestConnection, error)
	Blocklist(ctx context.Context, owner *models.User, r page.Request) (*relations.BlockConnection, error)
	Whitelist(ctx context.Context, owner *models.User, r page.Request) (*relations.WhitelistEntryConnection, error)
	SetWhitelistEnabled(ctx context.Context, app *models.App, userIDs []string, enabled bool, by models.Actor) ([]*models.ItemResult, error)
	Explain(ctx context.Context, app *models.App, pair relations.Pair) (*relations.Explanation, error)
}

// Users is what the console needs of the rules about users (users.Service).
type Users interface {
	List(ctx context.Context, app *models.App, f users.Filter, r page.Request) (*users.Connection, error)
	// Export answers all whom a filter keeps to write, page by page.
	Export(ctx context.Context, app *models.App, f users.Filter, by models.Actor, write func([]*models.User) error) error
	// ByID answers nil for an unknown ID.
	ByID(ctx context.Context, appID int64, id string) (*models.User, error)
	ByIDs(ctx context.Context, appID int64, ids []string) ([]*models.User, error)
	Banned(ctx context.Context, app *models.App, r page.Request) (*users.Connection, error)
	Deactivated(ctx context.Context, app *models.App, r page.Request) (*users.Connection, error)
	BannedCount(ctx context.Context, app *models.App) (int, error)
	Ban(ctx context.Context, app *models.App, ids []string, length time.Duration, reason *string, by models.Actor) ([]*models.ItemResult, error)
	Unban(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error)
	ExpireTokens(ctx context.Context, app *models.App, ids []string, issuedBefore models.Time, by models.Actor) ([]*models.ItemResult, error)
	Deactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error)
	Reactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error)
	Delete(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*models.ItemResult, error)
	// Clear tells progress after each batch, and ends with its error.
	Clear(ctx context.Context, app *models.App, by models.Actor, progress func(found, deleted int) error) error
	// GrantToken refuses users whose token would be good for nothing.
	GrantToken(ctx context.Context, app *models.App, id string, ttl time.Duration, by models.Actor) (*users.Registered, error)
	// AuditDisconnect comes before Presence.Disconnect.
	AuditDisconnect(ctx context.Context, app *models.App, id string, devices int, by models.Actor) error
}

// Presence is what the console needs to know about who is online (presence.Hub).
type Presence interface {
	// StatusesOf answers the statuses now of users whose rows were just read.
	StatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error)
	OnlineCount(ctx context.Context, appID int64) (int, error)
	// Devices answers the live connections of the user with that users.id.
	Devices(ctx context.Context, userID int64) ([]models.Device, error)
	Subscriptions(ctx context.Context, owner *models.User, r page.Request) (*presence.SubscriptionConnection, error)
	// Disconnect cuts the devices with these IDs, nil: all, and answers how many.
	Disconnect(ctx context.Context, acc status.Account, deviceIDs []string, reason status.Reason) (int, error)
}

// Figures is what the console needs of the apps' histories (figures.Recorder).
type Figures interface {
	LastHour(ctx context.Context, appID int64) ([]figures.Point, error)
	LastDays(ctx context.Context, appID int64, n int, zone *time.Location) ([]figures.Point, error)
}

// Node is what the console needs to know of the process (vitals.Node).
type Node interface {
	Report(ctx context.Context) (*vitals.Report, error)
}

// Deps is what the console stands on. All fields are needed.
type Deps struct {
	Operators Operators
	Apps      Apps
	Audit     Audit
	Users     Users
	Relations Relations
	Presence  Presence
	// Connections are those of App Servers.
	Connections Connections
	Figures     Figures
	Node        Node
	Jobs        Jobs
	Logger      *slog.Logger
	// Clock is time.Now outside tests.
	Clock func() time.Time
	// ClientAddress answers the address that a request came from, trusted proxies
	// seen through.
	ClientAddress func(*http.Request) string
	// Secure says whether the browser's side of the connection is TLS.
	Secure func(*http.Request) bool
}

// console is the website; its handlers are in the files named after the pages.
type console struct {
	Deps
	assets  *assets
	locales []*locale
	pages   *pages
	// polls are the patterns of what pages ask by themselves.
	polls   map[string]bool
	outages *outage.Log
}

// New answers the handler of all paths below Root. It panics where the embedded
// templates or texts are broken: no setting can cause that, and every test here
// would find it.
func New(deps Deps) http.Handler {
	c := &console{Deps: deps, assets: must(loadAssets()), locales: must(loadLocales()), polls: map[string]bool{}, outages: outage.NewLog(deps.Logger)}
	c.pages = must(parsePages(c.locales, c.assets))
	mux := http.NewServeMux()
	mux.Handle("GET "+assetRoot, c.assets)
	for _, rt := range routes {
		mux.Handle(rt.pattern, c.handler(rt))
		c.polls[rt.pattern] = rt.access == polls
	}
	return c.guard(mux)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Errorf("console: %w", err))
	}
	return value
}
