package operators

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/sso"
	"rollcall/internal/strictbase64"
	"rollcall/internal/throttle"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// SSOLifetime is how long a login at the OpenID Provider may take. It must not be longer than
	// ChallengeLifetime, for which used states are stored.
	SSOLifetime = ChallengeLifetime
	// AnyGroup stands for all people that can log in at the provider.
	AnyGroup = "*"
	// loggedGroups is how many groups of a refused login are logged.
	loggedGroups = 50
)

// SSO is how operators log in at an OpenID Provider.
type SSO struct {
	Provider *sso.Provider
	// Name is what the login page calls the provider, or "".
	Name string
	// Roles are what the members of groups may do.
	Roles []GroupRole
	// Domains are the lower-case domains of which an operator's verified e-mail address must be one.
	// If there are none, the address does not matter.
	Domains []string
	// LocalLogin is true if operators may also log in with passwords and passkeys.
	LocalLogin bool
	// Logger gets the details of refused logins, which the operator does not see.
	Logger *slog.Logger
}

// GroupRole is what the members of a group may do.
type GroupRole struct {
	// Group is as the provider writes it, or AnyGroup.
	Group string
	Role  models.Role
	// Apps are the keys of the apps that the role is for. If there are none, it is for all apps.
	Apps []string
}

// SigningOn returns a copy of o whose operators log in by s. If s is nil, they only log in with
// passwords and passkeys.
func (o *Service) SigningOn(s *SSO) *Service {
	signs := *o
	signs.sso = s
	return &signs
}

// LocalLogin reports whether operators may log in with passwords and passkeys.
func (o *Service) LocalLogin() bool { return o.sso == nil || o.sso.LocalLogin }

// SSO reports whether operators may log in at an OpenID Provider, and what to call it, or "".
func (o *Service) SSO() (name string, on bool) {
	if o.sso == nil {
		return "", false
	}
	return o.sso.Name, true
}

// CheckSSO returns UNAVAILABLE if the OpenID Provider has not responded yet.
func (o *Service) CheckSSO(ctx context.Context) error {
	if o.sso == nil {
		return nil
	}
	return providerError(o.sso.Provider.Check(ctx))
}

// accepts reports whether sessions of the operator count on this node. If a way to log in is switched
// off, so are the sessions that were begun by it.
func (o *Service) accepts(operator *models.Operator) bool {
	if operator.BySSO() {
		return o.sso != nil && operator.SSOIssuer == o.sso.Provider.Issuer()
	}
	return o.LocalLogin()
}

var (
	errLocalLoginOff = fault.New(fault.Forbidden, "operators only log in at the OpenID Provider")
	errNoSSO         = fault.New(fault.Forbidden, "operators do not log in at an OpenID Provider")
	// errWrongIdentity means that another person has logged in at the provider, or none.
	errWrongIdentity = fault.Invalid("sso", "wrong", "the OpenID Provider has not confirmed that it is you")
)

// errBySSO is the refusal to change what an operator has from its provider.
func errBySSO(operator *models.Operator) error {
	return fault.Invalid("operator", "sso", "%q logs in by SSO: its role, password and second factor are set at the OpenID Provider", operator.Name)
}

// providerError returns UNAVAILABLE if the provider is not available.
func providerError(err error) error {
	if errors.Is(err, sso.ErrUnavailable) {
		return fmt.Errorf("%w (%w)", fault.New(fault.Unavailable, "the OpenID Provider does not respond"), err)
	}
	return err
}

// SSOFlow is a login at the provider, or a confirmation, that a browser has begun.
type SSOFlow struct {
	sso.Flow
	// Next is the page to return to.
	Next string
	// Session is the operator_sessions.id in which the operator confirms its identity, or 0 if it
	// logs in.
	Session int64
	// Ends is when the flow expires.
	Ends models.Time
}

// flowPurpose is that of a flow's ticket.
const flowPurpose = "log in by SSO"

// BeginSSO returns where to send the browser, and a ticket that it must bring back in a cookie. next
// is SSOFlow.Next. session is that in which the operator confirms its identity, or nil for a login.
// The ticket is encrypted, so every node can continue the login, and guests cannot fill the database.
// Returns UNAVAILABLE if the provider does not respond, FORBIDDEN if there is no SSO.
func (o *Service) BeginSSO(ctx context.Context, next string, session *models.OperatorSession) (url, ticket string, err error) {
	if o.sso == nil {
		return "", "", errNoSSO
	}
	now := models.TimeOf(o.clock())
	flow := SSOFlow{Flow: o.sso.Provider.NewFlow(session != nil), Next: next, Ends: now.Add(SSOLifetime)}
	if session != nil {
		flow.Session = session.ID
	}
	if url, err = o.sso.Provider.URL(ctx, flow.Flow); err != nil {
		return "", "", providerError(err)
	}
	data, err := json.Marshal(flow)
	if err != nil {
		return "", "", err
	}
	ring, err := o.vault.Read(o.db.Read(ctx), now)
	if err != nil {
		return "", "", err
	}
	sealed, err := ring.Ticket(data, flowPurpose)
	if err != nil {
		return "", "", fmt.Errorf("beginning a login by SSO: %w", err)
	}
	return url, base64.RawURLEncoding.EncodeToString(sealed), nil
}

// ReadSSO returns the flow of a ticket. Returns UNAUTHENTICATED if it has expired, or if state is not
// that of the flow: then another page, in this browser or another one, has begun the login.
func (o *Service) ReadSSO(ctx context.Context, ticket, state string) (*SSOFlow, error) {
	if o.sso == nil {
		return nil, errNoSSO
	}
	raw, err := strictbase64.Decode(base64.RawURLEncoding, ticket)
	if err != nil {
		return nil, errLoginEnded
	}
	now := models.TimeOf(o.clock())
	ring, err := o.vault.Read(o.db.Read(ctx), now)
	if err != nil {
		return nil, err
	}
	flow := &SSOFlow{}
	data, ok := ring.OpenTicket(raw, flowPurpose)
	if !ok || json.Unmarshal(data, flow) != nil || flow.Ends <= now || !flow.IsState(state) {
		return nil, errLoginEnded
	}
	return flow, nil
}

// SSORequest is what a browser brings back from the provider.
type SSORequest struct {
	// Code is "" if the provider has refused the login. Problem is the code of its error then.
	Code, Problem      string
	Address, UserAgent string
	// Device is what an earlier Login returned to the same browser, or "". It stays valid.
	Device string
}

// LoginBySSO begins a session of the operator that has logged in at the provider. It is the one with
// the same issuer and subject, or a new one. Its role and apps become those of its groups. Returns
// INVALID_ARGUMENT for the field sso, with the rule refused, invalid, no_role or email, which is
// audited; UNAUTHENTICATED if the flow was used before; UNAVAILABLE; RATE_LIMITED.
func (o *Service) LoginBySSO(ctx context.Context, flow *SSOFlow, in SSORequest) (*Login, error) {
	attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: networkRule, Subject: clientaddr.Network(in.Address)})
	if refusal != nil {
		return nil, rateLimited(refusal)
	}
	login := &Login{Device: in.Device}
	id, reason, err := o.identify(ctx, flow, in)
	if err == nil && reason == "" {
		login.Operator, reason, err = o.admit(ctx, flow, id, func(tx *gorm.DB, operator *models.Operator) error {
			var err error
			login.Token, err = o.begin(tx, operator, models.MethodSSO, in.Address, in.UserAgent)
			return err
		})
	}
	switch {
	case err != nil:
		attempt.Cancel(ctx)
		return nil, wrap(err, "logging in by SSO")
	case reason != "":
		failed := audit.FailedLogin{Operator: login.Operator, Reason: reason, Address: in.Address, Client: ClientOf(in.UserAgent)}
		if err := o.log.AddLoginFailure(ctx, failed); err != nil {
			return nil, err
		}
		return nil, fault.Invalid("sso", strings.TrimPrefix(reason, "sso_"), "the login at the OpenID Provider gives no access")
	}
	attempt.Succeed(ctx)
	return login, nil
}

// ConfirmBySSO is Confirm by logging in at the provider again, in the flow that the session has begun.
// Returns INVALID_ARGUMENT for the field sso, if another person has logged in or if its groups give it
// no role any more; RATE_LIMITED; UNAVAILABLE; UNAUTHENTICATED if the session has ended.
func (o *Service) ConfirmBySSO(ctx context.Context, flow *SSOFlow, in SSORequest, operator *models.Operator, session *models.OperatorSession, by models.Actor) error {
	if flow.Session != session.ID {
		return errLoginEnded
	}
	err := o.compare(ctx, operator, session, by, func() (string, error) {
		id, reason, err := o.identify(ctx, flow, in)
		if err == nil && reason == "" {
			if slices.Equal(id.hash(), operator.SSOHash) {
				_, reason, err = o.admit(ctx, flow, id, func(*gorm.DB, *models.Operator) error { return nil })
			} else {
				reason = audit.ReasonSSOOther
			}
		}
		if err == nil && reason != "" {
			return reason, errWrongIdentity
		}
		return "", err
	})
	if err != nil {
		return err
	}
	return o.noteConfirmed(ctx, session)
}

// identity is a person that the provider has identified.
type identity struct{ *sso.Identity }

// hash returns models.Operator.SSOHash.
func (id identity) hash() models.UniqueHash {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(id.Issuer)) + " " + id.Issuer + id.Subject))
	return sum[:]
}

// identify returns who has logged in at the provider, or the audit's reason why no person has.
func (o *Service) identify(ctx context.Context, flow *SSOFlow, in SSORequest) (identity, string, error) {
	if in.Code == "" {
		o.sso.Logger.WarnContext(ctx, "login by SSO refused by the provider", "error", validate.ClipASCII(in.Problem, clientLength))
		return identity{}, audit.ReasonSSORefused, nil
	}
	id, err := o.sso.Provider.Identify(ctx, flow.Flow, in.Code)
	if errors.Is(err, sso.ErrInvalid) {
		o.sso.Logger.WarnContext(ctx, "login by SSO refused", "reason", audit.ReasonSSOInvalid, "error", err)
		return identity{}, audit.ReasonSSOInvalid, nil
	}
	return identity{id}, "", providerError(err)
}

// admit calls enter with the operator, locked, whose role and apps are those of the groups. It creates
// the operator at its first login. If the person may not log in, admit returns the audit's reason and
// withdraws the access of the operator, if there is one. Returns UNAUTHENTICATED if the flow was used
// before.
func (o *Service) admit(ctx context.Context, flow *SSOFlow, id identity, enter func(*gorm.DB, *models.Operator) error) (operator *models.Operator, reason string, err error) {
	run := func(tx *gorm.DB) error {
		if err := o.useState(tx, flow); err != nil {
			return err
		}
		// All operators, so that concurrent first logins find each other's names.
		all, err := lockAll(tx)
		if err != nil {
			return err
		}
		operator = nil
		if at := slices.IndexFunc(all, func(o *models.Operator) bool { return slices.Equal(o.SSOHash, id.hash()) }); at >= 0 {
			operator = all[at]
		}
		grant, ok, err := o.grantOf(tx, id)
		if err != nil {
			return err
		}
		switch {
		case !o.sso.allowsEmail(id):
			reason = audit.ReasonSSOEmail
		case !ok:
			reason = audit.ReasonSSONoRole
		default:
			reason = ""
			if operator, err = o.grantBySSO(tx, operator, all, id, grant); err != nil {
				return err
			}
			return enter(tx, operator)
		}
		if operator == nil {
			return nil
		}
		return o.withdraw(tx, operator)
	}
	err = o.db.Tx(ctx, run)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		err = o.db.Tx(ctx, run) // a command has just taken the name
	}
	if reason != "" && err == nil {
		o.sso.Logger.WarnContext(ctx, "login by SSO refused", "reason", reason, "subject", id.Subject,
			"groups", id.Groups[:min(len(id.Groups), loggedGroups)], "email", id.Email, "emailVerified", id.EmailVerified)
	}
	return operator, reason, err
}

// useState accepts the state of a flow once, on all nodes.
func (o *Service) useState(tx *gorm.DB, flow *SSOFlow) error {
	hash := sha256.Sum256([]byte("SSO " + flow.State))
	err := tx.Create(&models.OperatorChallenge{ChallengeHash: hash[:], UsedAt: models.TimeOf(o.clock())}).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return errLoginEnded
	}
	return err
}

// allowsEmail reports whether the person's e-mail address is verified and of an allowed domain, if
// only some are.
func (s *SSO) allowsEmail(id identity) bool {
	at := strings.LastIndex(id.Email, "@")
	return len(s.Domains) == 0 || at > 0 && id.EmailVerified && slices.Contains(s.Domains, strings.ToLower(id.Email[at+1:]))
}

// grantOf returns what the groups of a person permit: the highest role of them, for the apps of all
// groups that have it. ok is false if no group has a role for an app that exists.
func (o *Service) grantOf(tx *gorm.DB, id identity) (grant models.Grant, ok bool, err error) {
	// From the highest role down, because the apps of one may all have been deleted.
	for _, role := range slices.Backward(models.Roles()) {
		grant = models.Grant{Role: role}
		var keys []string
		for _, r := range o.sso.Roles {
			if r.Role != role || r.Group != AnyGroup && !slices.Contains(id.Groups, r.Group) {
				continue
			}
			if len(r.Apps) == 0 {
				return models.Grant{Role: role, AllApps: true}, true, nil
			}
			keys = append(keys, r.Apps...)
		}
		if len(keys) == 0 {
			continue
		}
		var ids []int64
		if err := tx.Model(&models.App{}).Where(map[string]any{"key": keys}).Pluck("id", &ids).Error; err != nil {
			return grant, false, fmt.Errorf("reading apps: %w", err)
		}
		if grant.AppIDs = ids; len(ids) > 0 {
			return grant, true, nil
		}
	}
	return models.Grant{}, false, nil
}

// grantBySSO gives the operator that grant, or creates it if operator is nil. all are the operators.
func (o *Service) grantBySSO(tx *gorm.DB, operator *models.Operator, all []*models.Operator, id identity, grant models.Grant) (*models.Operator, error) {
	detail, err := prepareGrant(tx, &grant)
	if err != nil {
		return nil, err
	}
	if operator != nil {
		if !sameGrant(operator.Grant, grant) {
			err = o.setGrant(tx, operator, grant, detail, audit.SSO)
		}
		operator.Grant = grant
		return operator, err
	}
	operator = &models.Operator{
		Name: freeName(all, id), Grant: grant, CreatedAt: models.TimeOf(o.clock()),
		SSOIssuer: id.Issuer, SSOSubject: id.Subject, SSOHash: id.hash(),
	}
	if err := tx.Create(operator).Error; err != nil {
		return nil, err
	}
	return operator, o.audit(tx, audit.SSO, audit.ActionOperatorCreate, operator.Name, detail)
}

// freeName returns the name of a new operator: the person's user name or, if no operator may have it
// or another one has it, its e-mail address, or the user name with a number. A name alone never makes
// a person an existing operator.
func freeName(all []*models.Operator, id identity) string {
	free := func(name string) bool {
		return checkName(name) == nil && !slices.ContainsFunc(all, func(o *models.Operator) bool { return o.Name == name })
	}
	for _, name := range []string{id.Username, id.Email} {
		if free(name) {
			return name
		}
	}
	base := id.Username
	if validate.Name(base) != nil || checkName(base+"-99999") != nil {
		base = "sso-" + hex.EncodeToString(id.hash()[:6])
	}
	name := base
	for n := 2; !free(name); n++ {
		name = base + "-" + strconv.Itoa(n)
	}
	return name
}

// withdraw ends all sessions of an operator that may no longer log in, and revokes its API keys.
func (o *Service) withdraw(tx *gorm.DB, operator *models.Operator) error {
	keys, err := keysOf(tx, operator.ID)
	if err != nil {
		return err
	}
	if err := removeKeys(tx, operator); err != nil {
		return err
	}
	for _, key := range keys {
		err := o.audit(tx, audit.SSO, audit.ActionKeyRevoke, operator.Name, audit.KeyDetail(key.Prefix, "", key.Name))
		if err != nil {
			return err
		}
	}
	open, err := o.endSessions(tx, operator.ID, EndOther, "TRUE")
	if err != nil || open == 0 {
		return err
	}
	return o.audit(tx, audit.SSO, audit.ActionSessionsEnd, operator.Name, fmt.Sprintf("sessions=%d", open))
}
