// Package console serves the operators' website: pages rendered by the server from templates, which
// call the same rules as the GraphQL resolvers. Every change is an HTML form that works without
// JavaScript.
//
// The table in routes.go lists all pages; each page has a file of its own.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"rollcall/internal/appconnections"
	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/figures"
	"rollcall/internal/jobs"
	"rollcall/internal/operators"
	"rollcall/internal/outage"
	"rollcall/internal/page"
	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/sealed"
	"rollcall/internal/subscriptions"
	"rollcall/internal/trusted"
	"rollcall/internal/users"
	"rollcall/internal/vitals"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// Root is the path at which the console is mounted.
const Root = "/console/"

// Operators is what the console needs of the rules about operators
// (operators.Service).
type Operators interface {
	Login(ctx context.Context, in operators.LoginRequest) (*operators.Login, error)
	// PendingLogin and FinishLogin continue a login that needs a second factor.
	PendingLogin(ctx context.Context, token string) (*models.Operator, error)
	FinishLogin(ctx context.Context, in operators.FactorRequest) (*operators.Login, error)
	ByToken(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error)
	// EndOf returns how the session with that token ended, or nil if that is not known.
	EndOf(ctx context.Context, token string) (*models.OperatorSessionEnd, error)
	// Peek is like ByToken but does not count as use of the session. It is for polls.
	Peek(ctx context.Context, token string) (*models.OperatorSession, *models.Operator, error)
	List(ctx context.Context) ([]*models.Operator, error)
	// Invite returns the token of the invitation's link.
	Invite(ctx context.Context, name string, grant models.Grant, by models.Actor) (i *models.OperatorInvitation, token string, err error)
	Invitations(ctx context.Context) ([]*models.OperatorInvitation, error)
	// RevokeInvitation returns nil if the invitation could not be accepted any longer.
	RevokeInvitation(ctx context.Context, id int64, by models.Actor) (*models.OperatorInvitation, error)
	// Invitation and AcceptInvitation refuse an invitation that cannot be accepted by a rule of the
	// field "invitation".
	Invitation(ctx context.Context, token, address string) (*models.OperatorInvitation, error)
	AcceptInvitation(ctx context.Context, in operators.AcceptRequest) (*operators.Login, error)
	// SetPassword returns the password. It generates one if password is "", and refuses the
	// operator's own account by a rule of the field "operator".
	SetPassword(ctx context.Context, name, password string, by models.Actor) (string, error)
	ChangePassword(ctx context.Context, operator *models.Operator, session *models.OperatorSession, current, next string, by models.Actor) (device string, err error)
	// Confirmed reports whether Confirm was called in the session recently.
	Confirmed(session *models.OperatorSession) bool
	// Confirm refuses a wrong password or code as INVALID_ARGUMENT or RATE_LIMITED.
	Confirm(ctx context.Context, operator *models.Operator, session *models.OperatorSession, proof string, by models.Actor) error
	ListSessions(ctx context.Context, operatorID int64) ([]*models.OperatorSession, error)
	EndSession(ctx context.Context, operatorID, sessionID int64, by models.Actor) (bool, error)
	// EndSessions ends all sessions except keep and returns how many it ended.
	EndSessions(ctx context.Context, operatorID, keep int64, by models.Actor) (int, error)
	// SetRole and Delete refuse the operator's own account and the last owner, by rules of the
	// field "operator".
	SetRole(ctx context.Context, name string, grant models.Grant, by models.Actor) (changed bool, err error)
	Delete(ctx context.Context, name string, by models.Actor) error
	// LacksSecondFactor reports whether the operator must set up a second factor before anything
	// else.
	LacksSecondFactor(operator *models.Operator) bool
	// Factors, and the methods for an operator's own second factors.
	Factors(ctx context.Context, operator *models.Operator) (*operators.Factors, error)
	StartTOTP(ctx context.Context, operator *models.Operator) error
	// StartedTOTP returns nil if there is nothing to confirm.
	StartedTOTP(ctx context.Context, operator *models.Operator) (*operators.Enrolment, error)
	// ConfirmTOTP returns recovery codes if the operator had none.
	ConfirmTOTP(ctx context.Context, operator *models.Operator, code string, by models.Actor) ([]string, error)
	RemoveTOTP(ctx context.Context, operator *models.Operator, by models.Actor) (removed bool, err error)
	// The options for the browser are JSON.
	PasskeyRegistration(ctx context.Context, rp operators.RelyingParty, operator *models.Operator, session *models.OperatorSession) (options string, err error)
	PasskeyLogin(ctx context.Context, rp operators.RelyingParty) (options string, err error)
	PasskeyConfirmation(ctx context.Context, rp operators.RelyingParty, session *models.OperatorSession) (options string, err error)
	// AddPasskey returns recovery codes if the operator had none.
	AddPasskey(ctx context.Context, rp operators.RelyingParty, operator *models.Operator, session *models.OperatorSession, in operators.NewPasskey, by models.Actor) ([]string, error)
	RemovePasskey(ctx context.Context, operator *models.Operator, id int64, by models.Actor) (removed bool, err error)
	LoginByPasskey(ctx context.Context, rp operators.RelyingParty, in operators.PasskeyRequest) (*operators.Login, error)
	// ConfirmByPasskey is Confirm by a passkey.
	ConfirmByPasskey(ctx context.Context, rp operators.RelyingParty, operator *models.Operator, session *models.OperatorSession, response string, by models.Actor) error
	RenewRecoveryCodes(ctx context.Context, operator *models.Operator, by models.Actor) ([]string, error)
	ResetSecondFactor(ctx context.Context, name string, by models.Actor) (reset bool, err error)
	// Keys and RevokeKey are about the API keys of one operator. CreateKey returns the key's text.
	Keys(ctx context.Context, operatorID int64) ([]*models.OperatorKey, error)
	CreateKey(ctx context.Context, operator *models.Operator, in operators.NewKey, by models.Actor) (key *models.OperatorKey, text string, err error)
	// RevokeKey returns nil if the operator has no such key.
	RevokeKey(ctx context.Context, operatorID, keyID int64, by models.Actor) (*models.OperatorKey, error)
	// LocalLogin reports whether operators may log in with passwords and passkeys.
	LocalLogin() bool
	// SSO reports whether operators may log in at an OpenID Provider, and what to call it, or "".
	SSO() (name string, on bool)
	// CheckSSO returns UNAVAILABLE if the provider has not responded yet.
	CheckSSO(ctx context.Context) error
	// BeginSSO returns where to send the browser, and a ticket for ReadSSO. session is nil for a
	// login.
	BeginSSO(ctx context.Context, next string, session *models.OperatorSession) (url, ticket string, err error)
	// ReadSSO returns UNAUTHENTICATED if the ticket has expired or is not that of the state.
	ReadSSO(ctx context.Context, ticket, state string) (*operators.SSOFlow, error)
	// LoginBySSO and ConfirmBySSO refuse by rules of the field "sso".
	LoginBySSO(ctx context.Context, flow *operators.SSOFlow, in operators.SSORequest) (*operators.Login, error)
	ConfirmBySSO(ctx context.Context, flow *operators.SSOFlow, in operators.SSORequest, operator *models.Operator, session *models.OperatorSession, by models.Actor) error
	Logout(ctx context.Context, session *models.OperatorSession, by models.Actor) error
}

// Apps is what the console needs of the rules about apps (apps.Service).
type Apps interface {
	List(ctx context.Context) ([]*models.App, error)
	// ByKey returns nil if the key is unknown.
	ByKey(ctx context.Context, key string) (*models.App, error)
	// UserCounts returns how many users each app has, by apps.id.
	UserCounts(ctx context.Context, list ...*models.App) (map[int64]models.UserCounts, error)
	Create(ctx context.Context, in apps.NewApp, by models.Actor) (app *models.App, secret string, err error)
	// Change returns *apps.Stale if a setting no longer has its value in loaded.
	Change(ctx context.Context, key string, values, loaded map[string]string, by models.Actor) (*models.App, error)
	GrantToken(ctx context.Context, app *models.App, ttl time.Duration, by models.Actor) (token string, expires models.Time, err error)
	// Disable and Enable return nil if the key is unknown; changed is false if there was nothing to do.
	Disable(ctx context.Context, key string, by models.Actor) (app *models.App, changed bool, err error)
	Enable(ctx context.Context, key string, by models.Actor) (app *models.App, changed bool, err error)
	// CheckDeletion refuses an app that cannot be deleted as FORBIDDEN, with a rule.
	CheckDeletion(ctx context.Context, app *models.App) error
	// Delete returns nil if the key is unknown.
	Delete(ctx context.Context, key, name string, by models.Actor) (*models.App, error)
	RotateSecret(ctx context.Context, key string, overlap time.Duration, by models.Actor) (*models.App, string, error)
}

// Users is what the console needs of the rules about users (users.Service).
type Users interface {
	List(ctx context.Context, app *models.App, f users.Filter, r page.Request) (*users.Connection, error)
	// ListBy is List in another order, which only a Sortable filter has.
	ListBy(ctx context.Context, app *models.App, f users.Filter, by users.Sort, r page.Request) (*users.Connection, error)
	// Export calls write with each page of the users that the filter selects.
	Export(ctx context.Context, app *models.App, f users.Filter, by models.Actor, write func([]*models.User) error) error
	// ExportByIDs is Export of the users with these IDs.
	ExportByIDs(ctx context.Context, app *models.App, ids []string, by models.Actor, write func([]*models.User) error) error
	// AuditDataExport records that the console exports all data of a user.
	AuditDataExport(ctx context.Context, app *models.App, id string, by models.Actor) error
	// ByID returns nil if the ID is unknown.
	ByID(ctx context.Context, appID int64, id string) (*models.User, error)
	ByIDs(ctx context.Context, appID int64, ids []string) ([]*models.User, error)
	Banned(ctx context.Context, app *models.App, r page.Request) (*users.Connection, error)
	Deactivated(ctx context.Context, app *models.App, r page.Request) (*users.Connection, error)
	BannedCount(ctx context.Context, app *models.App) (int, error)
	// Bans returns the user's bans, past and in force.
	Bans(ctx context.Context, u *models.User, r page.Request) (*users.BanConnection, error)
	// Notes returns the notes of operators about the user, and Note one of them, or nil.
	Notes(ctx context.Context, u *models.User, r page.Request) (*users.NoteConnection, error)
	Note(ctx context.Context, u *models.User, id int64) (*models.UserNote, error)
	AddNote(ctx context.Context, app *models.App, id, text string, by models.Actor) (*models.UserNote, error)
	// DeleteNote refuses the note of another operator unless ofOthers is true.
	DeleteNote(ctx context.Context, app *models.App, id string, noteID int64, ofOthers bool, by models.Actor) (deleted bool, err error)
	Ban(ctx context.Context, app *models.App, ids []string, sentence users.Sentence, by models.Actor) ([]*batch.Result, error)
	Unban(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error)
	ExpireTokens(ctx context.Context, app *models.App, ids []string, issuedBefore models.Time, by models.Actor) ([]*batch.Result, error)
	// SignOut ends all tokens and present devices, which the caller then disconnects at once by
	// Presence.DisconnectAll.
	SignOut(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error)
	Deactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error)
	Reactivate(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error)
	Delete(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error)
	// Clear calls progress after each batch and stops if progress returns an error.
	Clear(ctx context.Context, app *models.App, by models.Actor, progress func(found, deleted int) error) error
	// GrantToken refuses users that could not use a token.
	GrantToken(ctx context.Context, app *models.App, id string, ttl time.Duration, by models.Actor) (*users.Issued, error)
}

// Presence is what the console needs to know about who is online (presence.Hub).
type Presence interface {
	// StatusesOf returns the current statuses of users whose rows were just read.
	StatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error)
	OnlineCount(ctx context.Context, appID int64) (int, error)
	// Devices returns the live connections of the user with that users.id.
	Devices(ctx context.Context, userID int64) ([]models.Device, error)
	// DevicesHere returns those at this node. It needs no Redis.
	DevicesHere(userID int64) []models.Device
	// Clients returns what the nodes of the user's devices respond about their clients until ctx ends,
	// by the IDs of the devices.
	Clients(ctx context.Context, userID int64, deviceIDs []string) map[string]presence.Client
	// Disconnect closes the devices with these IDs, or all if deviceIDs is nil, and returns how
	// many it closed.
	Disconnect(ctx context.Context, acc status.Account, deviceIDs []string, by models.Actor) (int, error)
	// DisconnectAll closes all devices without an audit entry, as part of an act that has one.
	DisconnectAll(ctx context.Context, acc status.Account) (int, error)
}

// Deps are the dependencies of the console. All fields are required unless they say otherwise. The interfaces are those that
// tests replace.
type Deps struct {
	Operators     Operators
	Apps          Apps
	Audit         *audit.Log
	Users         Users
	Relations     *relations.Service
	Subscriptions *subscriptions.Service
	Presence      Presence
	// Connections lists and closes the connections of App Servers.
	Connections *appconnections.Service
	Webhooks    *webhooks.Service
	Figures     *figures.Recorder
	Node        *vitals.Node
	Jobs        *jobs.Service
	// Trusted has the documents to which apps restrict their users. If nil, no app does.
	Trusted *trusted.Store
	// Health returns the state of the service as this node sees it. It must not block.
	Health func() vitals.Health
	// Sealed keeps what operators may read once or for a short time.
	Sealed *sealed.Store
	Logger *slog.Logger
	// AuditRetention is how long entries of the audit are kept. If 0, they are never deleted.
	AuditRetention time.Duration
	// URL is the console's address in browsers without a path, for passkeys, the links of invitations
	// and SSO. If "", there is no SSO, and otherwise it is that of each request.
	URL string
	// APIPath is the path of the management API, for those who make a key.
	APIPath string
	// Clock is time.Now except in tests.
	Clock func() time.Time
	// PageTime is the constant of that name except in tests.
	PageTime time.Duration
	// MaxLag is how late reads that may be late can be: 0 without a replica of the database.
	MaxLag time.Duration
	// ClientAddress returns the address that a request came from, as seen by trusted proxies.
	ClientAddress func(*http.Request) string
	// Secure reports whether the browser's side of the connection is TLS.
	Secure func(*http.Request) bool
}

// console is the website; its handlers are in the files named after the pages.
type console struct {
	Deps
	assets  *assets
	locales []*locale
	pages   *pages
	// polls has the patterns of the routes that pages poll.
	polls map[string]bool
	// paged has the patterns of the forms whose paths are also those of pages.
	paged   map[string]bool
	outages *outage.Log
}

// New returns the handler of all paths below Root. It panics if the embedded templates or texts are
// broken. No setting can cause that, and the tests of this package would fail.
func New(deps Deps) http.Handler { return newConsole(deps, routes) }

// newConsole is New for other routes.
func newConsole(deps Deps, routes []route) http.Handler {
	c := loadEmbedded()
	c.Deps, c.polls, c.paged, c.outages = deps, map[string]bool{}, map[string]bool{}, outage.NewLog(deps.Logger)
	mux := http.NewServeMux()
	mux.Handle("GET "+assetRoot, c.assets)
	for _, rt := range routes {
		mux.Handle(rt.pattern, c.handler(rt))
		c.polls[rt.pattern] = rt.access.poll
		if path, ok := strings.CutPrefix(rt.pattern, "GET "); ok {
			c.paged["POST "+path] = true
		}
	}
	return c.guard(mux)
}

// loadEmbedded returns a console without Deps that has the embedded files. They are parsed once in a
// process: the templates take most of the time of New, and tests make many consoles.
func loadEmbedded() *console {
	c := embedded()
	return &c
}

var embedded = sync.OnceValue(func() (c console) {
	c.assets, c.locales = must(loadAssets()), must(loadLocales())
	c.pages = must(parsePages(c.locales, c.assets))
	return c
})

func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Errorf("console: %w", err))
	}
	return value
}
